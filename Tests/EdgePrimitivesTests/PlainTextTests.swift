import EdgePrimitives
import Testing

/// What may stand in logs and on terminals as it is.
struct PlainTextTests {
    @Test(
        arguments: [
            // C0, DEL, C1
            0x00...0x1f, 0x7f...0x9f,
            // soft hyphen, Arabic letter mark, zero widths and marks of direction, separators and embeddings, isolates
            0xad...0xad, 0x61c...0x61c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f,
            // fillers, joiners, variation selectors, the byte order mark, tags
            0x34f...0x34f, 0x115f...0x1160, 0x180b...0x180f, 0x3164...0x3164, 0xfe00...0xfe0f,
            0xfeff...0xfeff,
            0xffa0...0xffa0, 0xfff9...0xfffb, 0xe0001...0xe007f, 0xe0100...0xe01ef,
            // what nobody has given a meaning, or anybody may
            0xe000...0xf8ff, 0xfdd0...0xfdef, 0xffff...0xffff, 0x10fffe...0x10ffff,
        ] as [ClosedRange<UInt32>])
    func `what turns, joins, hides or ends text does not show as itself`(_ range: ClosedRange<UInt32>) {
        for value in range {
            guard let scalar = Unicode.Scalar(value) else { continue }
            #expect(!PlainText.shows(scalar), "U+\(String(value, radix: 16))")
        }
    }

    @Test func `letters, digits and signs of every script do`() {
        for scalar in " ~aé߷あ中한🐚€\u{fffd}\u{e01}".unicodeScalars { #expect(PlainText.shows(scalar)) }
    }

    @Test func `an escape tells which character it was, and a cut how much is missing`() {
        #expect(PlainText.escaped("a\u{202e}b\n\u{7f}é") == "a\\u{202e}b\\u{a}\\u{7f}é")
        #expect(PlainText.escaped("aé中", limit: 3) == "aé中")
        #expect(PlainText.escaped("aé中", limit: 1) == "a...(+5)")
        #expect(PlainText.escaped(String(repeating: "x", count: 100_000), limit: 10).count < 30)
    }

    @Test func `a JSON text stays one, and means the same`() {
        #expect(
            PlainText.json("{\n\t\"a\u{202e}\": \"\u{e0041}é\"}") == "{\n\t\"a\\u202e\": \"\\udb40\\udc41é\"}"
        )
    }
}
