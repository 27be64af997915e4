import EdgeAdmin
import Foundation
import Testing

struct JSONReaderTests {
    @Test func `values keep their types`() throws {
        let value = try JSONValue(
            parsing: #" {"a":[1,-0.5e+3,true,false,null,""],"b":{"c":"\u00e9\ud83d\ude00\n\/"}} "#)
        #expect(
            value["a"]
                == .array([.number("1"), .number("-0.5e+3"), .bool(true), .bool(false), .null, .string("")]))
        #expect(value["b"]?["c"] == .string("é😀\n/"))
        #expect(value["a"]?.items?.first != .bool(true))
    }

    @Test(arguments: [
        "", "{", "}", "[1,]", "[,1]", "{,}", #"{"a"}"#, #"{"a":}"#, #"{"a" 1}"#, #"{1:2}"#, "01", "-", "1.",
        ".5", "1e",
        "+1", "0x1", "tru", "truex", "nul", #"""#, #""\u12""#, #""\u{1}""#, #""\ud800""#, #""\udc00""#,
        #""\ud800\u0041""#,
        #""\q""#, "\"\t\"", "1 2", "[1]]", "{} []", "NaN", "Infinity", "'a'", "/**/1", "\u{FEFF}1", "\u{A0}1",
    ])
    func `what is not JSON is refused`(_ text: String) {
        #expect(throws: JSONFault.self) { try JSONValue(parsing: text) }
    }

    @Test func `a name that is there twice is found wherever it is`() {
        for text in [#"{"a":1,"a":1}"#, #"{"x":[{"a":1,"b":2,"\u0061":3}]}"#] {
            let fault = #expect(throws: JSONFault.self) { try JSONValue(parsing: text) }
            #expect(fault?.duplicate == "a")
        }
    }

    @Test func `nesting has an end`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONValue(parsing: nested(32))
        #expect(throws: JSONFault.self) { try JSONValue(parsing: nested(33)) }
    }

    @Test func `whatever is read, Foundation reads too`() throws {
        var generator = SystemRandomNumberGenerator()
        let seeds = [#"{"a":[1,2.5,true],"b":"\u00e9\\"}"#, #"[{"x":null},-0,1e5,"\ud83d\ude00"]"#]
        let bytes = Array(#"{}[],:"\/ue0123456789.-+truefalsn "#.utf8)
        for round in 0..<20_000 {
            var text = Array(seeds[round % 2].utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<text.count, using: &generator)
                text[place] = bytes[Int.random(in: 0..<bytes.count, using: &generator)]
            }
            guard (try? JSONReader.read(text)) != nil else { continue }
            let read = try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)
            #expect(read != nil, "\(String(decoding: text, as: UTF8.self))")
        }
    }
}
