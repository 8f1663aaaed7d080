import StorageUnits
import Testing

@Suite struct StorageUUIDTests {
  @Test func textFormRoundTrips() throws {
    let id = StorageUUID(randomHigh: 0x0123_4567_89AB_CDEF, randomLow: 7)
    #expect(id.description == "01234567-89ab-4def-8000-000000000007")
    #expect(StorageUUID(id.description) == id)
  }

  @Test(arguments: [
    "", "01234567", "01234567-89ab-4def-8000-00000000000g", "+1234567-89ab-4def-8000-000000000007",
  ])
  func otherTextIsRefused(text: String) {
    #expect(StorageUUID(text) == nil)
  }
}
