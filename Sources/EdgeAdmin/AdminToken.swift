/// The bearer token of the admin API.
public struct AdminToken: Sendable {
    private let bytes: [UInt8]

    public init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// The token in the file that was named.
    public static func read(from path: String) throws(AdminTokenError) -> AdminToken {
        try AdminToken(TokenFile.read(path))
    }

    /// Writes a fresh token to `path`, which nobody but its owner ever may read.
    public static func create(at path: String) throws(AdminTokenError) -> AdminToken {
        var generator = SystemRandomNumberGenerator()
        var text = ""
        for _ in 0..<4 {
            let word = String(generator.next(), radix: 16)
            text += String(repeating: "0", count: 16 - word.count) + word
        }
        try TokenFile.write(text, to: path)
        return AdminToken(text)
    }

    /// Whether `presented` is the token. How long it takes depends on the length of `presented` alone: not on the
    /// token's length, nor on where the two differ.
    package func matches(_ presented: String) -> Bool {
        guard !bytes.isEmpty else { return false }
        let other = Array(presented.utf8)
        var difference = other.count ^ bytes.count
        for index in 0..<other.count {
            difference |= Int(other[index] ^ bytes[index % bytes.count])
        }
        return difference == 0
    }
}

/// A token file that cannot be used.
public struct AdminTokenError: Error, CustomStringConvertible {
    public let description: String
}
