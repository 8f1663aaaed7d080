extension ExplorationFamily {
  /// Every family, in the order in which they are explored.
  public static let all: [ExplorationFamily] = [
    everyHistory, reuseOfFreedSpace, latePunch, writeDuringBarrier, checkpointCut,
    fullPoolCheckpoint,
    noSpaceInMapping, fuaAfterDiscard, tornJournal, crashDuringStart, deleteWhileWritten,
    subBlockWrites, discardBesideWrite, lateRead, lateWrite, oldDevice,
  ]
}
