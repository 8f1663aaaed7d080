import Foundation
import Management
import Testing

struct ManagementErrorTests {
  @Test(arguments: ManagementError.Code.allCases)
  func `every code is kebab-case and has a title and an HTTP status`(
    code: ManagementError.Code
  ) {
    #expect(code.rawValue.allSatisfy { $0 == "-" || ("a"..."z").contains($0) })
    #expect(!code.title.isEmpty)
    #expect((400...599).contains(code.httpStatus))
  }

  @Test(arguments: [
    (ManagementError.Code.volumeNotFound, 404), (.volumeExists, 409), (.invalidSize, 400),
    (.noSpace, 507), (.requestTooLarge, 413), (.serverStopping, 503), (.notSupported, 501),
  ])
  func `statuses say what HTTP means by them`(code: ManagementError.Code, status: Int) {
    #expect(code.httpStatus == status)
  }

  @Test func `an error is written as problem details and read back the same`() throws {
    let error = ManagementError.volumeNotFound(try VolumeName("disk"), pool: "demo")
    let data = try ManagementJSON.encode(error)
    #expect(
      String(decoding: data, as: UTF8.self) == """
        {"code":"volume-not-found","correction":"'lamina volume list demo' shows the volumes that \
        there are.","details":[],"message":"there is no volume 'disk' in pool 'demo'","objects":\
        [{"kind":"volume","name":"demo/disk"}],"status":404,"title":"No such volume","type":\
        "/problems/volume-not-found"}
        """)
    #expect(try ManagementJSON.decode(ManagementError.self, from: data) == error)
  }

  @Test func `a code of a newer server is kept in words`() throws {
    let data = Data(
      #"{"code": "moon-full", "message": "m", "objects": [{"kind": "moon", "name": "x"}]}"#.utf8)
    let error = try ManagementJSON.decode(ManagementError.self, from: data)
    #expect(error.code == .unrecognized)
    #expect(error.message == "m")
    #expect(error.details == ["The server's code is moon-full."])
  }
}
