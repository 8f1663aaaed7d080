extension ExplorationFamily {
  /// Every family, in the order in which they are explored.
  public static let all: [ExplorationFamily] = [
    everyHistory, everyBranchHistory, reuseOfFreedSpace, latePunch, writeDuringBarrier,
    checkpointCut, fullPoolCheckpoint, noSpaceInMapping, fuaAfterDiscard, tornJournal,
    crashDuringStart, deleteWhileWritten, subBlockWrites, discardBesideWrite, lateRead, lateWrite,
    oldDevice, sharedRoot, thirdLayer, snapshotBesideWrites, tornGroup, dropBesideClone,
    unshareBeforeDrop, rollbackBesideFlush, everyAttributeHistory, renameBesideWriter,
    bookmarkRaises, bookmarkBesideWrites, shrinkBesideWrites, shrinkBesideSnapshot,
    trashAgainstPressure, receiveUponSnapshot, tornReceive, owedDiscard,
  ]
}
