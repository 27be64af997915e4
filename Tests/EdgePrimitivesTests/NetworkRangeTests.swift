import EdgePrimitives
import Testing

struct NetworkRangeTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "::a00:1", false),
        ("192.0.2.128/25", "192.0.2.128", true), ("192.0.2.128/25", "192.0.2.127", false),
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "2001:db8::1", true), ("::/0", "192.0.2.1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("10.0.0.0/8", "::ffff:11.1.2.3", false),
        ("::ffff:10.0.0.0/104", "::ffff:10.9.9.9", true),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true), ("::/0", "::ffff:10.1.2.3", false),
        ("::/8", "::ffff:10.1.2.3", false), ("10.0.0.0/8", "unknown", false),
        ("10.0.0.0/8", "", false),
    ])
    func `an address lies in a network when its first bits are the same`(
        network: String, address: String, isInside: Bool
    ) throws {
        #expect(try NetworkRange(network).contains(address) == isInside)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8",
        "10.0.0.0/8/8", "10.0.0/8",
        "::/129", "2001:db8::/1000", "a.example", "10.0.0.0 /8", "[::1]/128", "10.0.0.0/８", "127.0.0.1\0junk",
        "127.0.0.1/8\0",
    ])
    func `what is no network is refused`(text: String) {
        #expect(throws: NetworkRange.Problem.malformed) { try NetworkRange(text) }
    }

    @Test(arguments: [
        ("10.1.2.3/8", "10.0.0.0/8"), ("192.0.2.255/31", "192.0.2.254/31"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("1.2.3.4/0", "0.0.0.0/0"),
    ])
    func `bits beyond the prefix are a mistake, and the network is told`(text: String, network: String) {
        #expect(throws: NetworkRange.Problem.bitsBeyondPrefix(network)) { try NetworkRange(text) }
    }
}
