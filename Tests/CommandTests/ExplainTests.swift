import Management
import Testing

@testable import lamina

/// The page of each code.
@Suite struct ExplainTests {
  @Test(arguments: ManagementError.Code.allCases)
  func everyCodeHasAPageThatSaysWhatToDo(code: ManagementError.Code) throws {
    let page = try CodePage(code.rawValue)
    #expect(page.output.page.hasPrefix("# \(code.rawValue): "))
    #expect(page.output.summary.count > 10)
    for heading in ["## What happened", "## What to do"] {
      #expect(page.output.page.contains(heading), "\(heading)")
    }
    #expect(!page.output.page.contains("\"\"\""))
  }

  @Test func pagesAreOfCodesThatThereAre() {
    let known = Set(ManagementError.Code.allCases.map(\.rawValue))
    #expect(Set(MessagePages.all.keys) == known)
    #expect(CodeList().output.codes.count == known.count)
  }

  @Test func aCodeAsItIsPrintedIsUnderstoodAndAnotherIsHelped() throws {
    #expect(try CodePage("[Pool-In-Use]").output.code == "pool-in-use")
    do {
      _ = try CodePage("in-use")
      Issue.record("there is no such code")
    } catch {
      #expect(error.code == .invalidArgument)
      #expect(error.details.first?.contains("pool-in-use") == true)
    }
  }
}
