import DiskFormat
import Management
import PoolInspection
import StorageUnits

/// What a check found, and what a repair did.
struct PoolCheckResult: CommandResult {
  struct Output: Encodable, Sendable {
    var pool: String?
    /// `sound`, `notices`, `warnings`, `damage` or `notChecked`.
    var result: String
    /// The pool was being served: its newest checkpoint was checked, and not its journal.
    var served: Bool
    var findings: [Finding]
    /// By code: findings that are not listed, since so many of the same code are.
    var unlistedFindings: [String: UInt64]
    var totals: Totals
    var repair: Repair?
  }

  struct Finding: Encodable, Sendable {
    var code: String
    var severity: String
    var message: String
    var details: [String]
    var correction: String
    var volumes: [String]
    var firstByte: UInt64?
    var lastByte: UInt64?
    var locations: [Location]
  }

  struct Location: Encodable, Sendable {
    var device: String
    var offsetBytes: UInt64
  }

  struct Totals: Encodable, Sendable {
    var volumes: Int
    var treesBeingDropped: Int
    var freeSegments: Int
    var dataSegments: Int
    var nodeSegments: Int
    var lentSegments: Int
    var usedExtents: UInt64
    var freeExtents: UInt64
    var usedNodes: UInt64
    var freeNodes: UInt64
    var journalBlocks: UInt64
    var journalRecords: UInt64
  }

  struct Repair: Encodable, Sendable {
    var actions: [String]
    var isDone = false
    /// Why nothing can be mended.
    var obstacle: String?

    init(_ repair: PoolRepair) {
      actions = repair.actions.map { $0.text(in: repair.report) }
      obstacle = repair.obstacle?.text
    }

    var text: String {
      if let obstacle { return "nothing can be mended: \(obstacle)" }
      if actions.isEmpty { return "there is nothing that can be mended" }
      let shown = actions.prefix(50).map { "  - \($0)" }
      let rest = actions.count > 50 ? ["  and \(actions.count - 50) more"] : []
      return ([isDone ? "The repair did this:" : "The repair will do this:"] + shown + rest)
        .joined(separator: "\n")
    }
  }

  private let report: InspectionReport
  private let repair: Repair?

  init(_ report: InspectionReport, repair: Repair?) {
    self.report = report
    self.repair = repair
  }

  var output: Output {
    let totals = report.totals
    return Output(
      pool: report.superblock?.poolName, result: verdict.rawValue,
      served: report.isServed,
      findings: report.findings.map(finding), unlistedFindings: report.unlisted,
      totals: Totals(
        volumes: totals.volumes, treesBeingDropped: totals.doomedTrees,
        freeSegments: totals.freeSegments, dataSegments: totals.dataSegments,
        nodeSegments: totals.nodeSegments, lentSegments: totals.lentSegments,
        usedExtents: totals.usedExtents, freeExtents: totals.freeExtents,
        usedNodes: totals.usedNodes, freeNodes: totals.freeNodes,
        journalBlocks: totals.journalBlocks, journalRecords: totals.journalRecords),
      repair: repair)
  }

  private func finding(_ finding: InspectionFinding) -> Finding {
    Finding(
      code: finding.problem.code, severity: finding.severity.name,
      message: finding.message(in: report), details: finding.details(in: report),
      correction: finding.problem.advice,
      volumes: finding.volumes.map { report.volumeNames[$0] ?? "\($0.number)" },
      firstByte: finding.volumeBytes?.lowerBound,
      lastByte: finding.volumeBytes.map { $0.upperBound - 1 },
      locations: finding.locations.map {
        Location(
          device: report.deviceNames.indices.contains($0.position)
            ? report.deviceNames[$0.position] : "", offsetBytes: $0.offset.bytes)
      })
  }

  // MARK: The verdict

  enum Verdict: String {
    case sound, notices, warnings, damage, notChecked
  }

  var verdict: Verdict {
    guard report.isComplete else { return .notChecked }
    return switch report.severity {
    case nil: .sound
    case .notice: .notices
    case .mismatch: .warnings
    case .damage: .damage
    }
  }

  var exitCode: Int32 {
    switch verdict {
    case .sound, .notices: 0
    case .warnings: 2
    case .damage: 3
    case .notChecked: 4
    }
  }

  var nextCommand: String? { nil }

  // MARK: For people

  var text: String? {
    var lines: [String] = []
    // Several findings with the same advice say it once.
    var advised: Set<String> = []
    let worstFirst = report.findings.indices.sorted {
      (report.findings[$1].severity, $0) < (report.findings[$0].severity, $1)
    }
    for index in worstFirst {
      let finding = report.findings[index]
      lines.append(
        "\(finding.severity.name): \(finding.message(in: report)) [\(finding.problem.code)]")
      lines += finding.details(in: report).map { "  \($0)" }
      if advised.insert(finding.problem.advice).inserted {
        lines.append("  Next: \(finding.problem.advice)")
      }
    }
    for (code, count) in report.unlisted.sorted(by: { $0.key < $1.key }) {
      lines.append("and \(count) more of [\(code)]")
    }
    if let repair {
      if !lines.isEmpty { lines.append("") }
      lines.append(repair.text)
    }
    if !lines.isEmpty { lines.append("") }
    return (lines + [summary]).joined(separator: "\n")
  }

  private var summary: String {
    let name = report.superblock.map { "pool \($0.poolName)" } ?? "the devices"
    let counts = [InspectionFinding.Severity.damage, .mismatch, .notice].compactMap {
      severity -> String? in
      let count = report.count(of: severity)
      guard count > 0 else { return nil }
      return severity == .damage
        ? "\(count) \(severity.name)" : "\(count) \(severity.name)\(count == 1 ? "" : "s")"
    }
    let verdict =
      switch verdict {
      case .notChecked: "could not be checked"
      case .sound: "sound"
      case .notices, .warnings, .damage: counts.joined(separator: ", ")
      }
    let totals = report.totals
    let looked =
      verdict == "could not be checked"
      ? ""
      : "; \(totals.volumes) volumes, \(totals.usedExtents) extents and \(totals.usedNodes) nodes"
        + " in use, "
        + (report.isServed
          ? "as of checkpoint \(report.superblock?.checkpointSequence ?? 0) of its server, whose"
            + " journal was not looked at" : "\(totals.journalRecords) records to replay")
    return "\(name): \(verdict)\(looked)"
  }
}
