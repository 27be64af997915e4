extension [UInt8] {
    /// Appends a number in decimal, without an intermediate string.
    public mutating func appendDecimal(_ number: Int64) {
        if number < 0 { append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        var unit: UInt64 = 1
        while rest / unit >= 10 { unit *= 10 }
        while unit > 0 {
            append(48 + UInt8(rest / unit))
            rest %= unit
            unit /= 10
        }
    }
}

extension Octet {
    /// The number that `1*DIGIT` spells; `Int64.max`, and not exact, where it does not fit. Nil for anything else.
    static func decimal(_ digits: ArraySlice<UInt8>) -> (value: Int64, isExact: Bool)? {
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        var isExact = true
        for byte in digits {
            guard isDigit(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int64(byte - 48))
            if overflow || carry { isExact = false }
            value = isExact ? sum : .max
        }
        return (value, isExact)
    }
}
