import Testing

/// The server against the programs that people use with it. Each test has a pool of its own; they
/// run one after the other, so that deadlines mean something on a small machine.
@Suite(.serialized) struct InteropTests {}
