/// HTTP-date (RFC 9110 5.6.7): seconds since the Unix epoch from octets, and back.
///
/// Reading is exact about the shape and lenient about the case of letters. A recipient must take all
/// three forms; anything else (another zone, one digit too few, two spaces) is no date, and the rules
/// then say what follows. The weekday has to be a weekday, but whether it is that date's weekday is not
/// looked at.
public enum HTTPDate {
    /// The seconds since the Unix epoch, or nil where `bytes` is not an HTTP-date.
    ///
    /// Two-digit years are read as 1970 to 2069; where the present is known, ``parse(_:relativeTo:)`` is
    /// exact.
    public static func parse(_ bytes: ArraySlice<UInt8>) -> Int64? {
        parse(bytes, presentYear: 2019)
    }

    /// As ``parse(_:)``, a two-digit year being the last one with these digits that is not more than 50
    /// years after `now`, in seconds since the Unix epoch (RFC 9110 5.6.7).
    public static func parse(_ bytes: ArraySlice<UInt8>, relativeTo now: Int64) -> Int64? {
        parse(bytes, presentYear: civil(now).year)
    }

    /// The IMF-fixdate form, 29 octets. Times outside the years 0 to 9999 become the nearest one inside.
    public static func format(_ seconds: Int64) -> [UInt8] {
        let time = civil(min(max(seconds, -62_167_219_200), 253_402_300_799))
        var output: [UInt8] = []
        output.reserveCapacity(29)
        output.append(contentsOf: weekdays[time.weekday].utf8.prefix(3))
        output.append(contentsOf: ", ".utf8)
        appendTwoDigits(time.day, to: &output)
        output.append(Octet.space)
        output.append(contentsOf: months[time.month - 1].utf8)
        output.append(Octet.space)
        appendTwoDigits(time.year / 100, to: &output)
        appendTwoDigits(time.year % 100, to: &output)
        output.append(Octet.space)
        appendTwoDigits(time.secondOfDay / 3600, to: &output)
        output.append(Octet.colon)
        appendTwoDigits(time.secondOfDay / 60 % 60, to: &output)
        output.append(Octet.colon)
        appendTwoDigits(time.secondOfDay % 60, to: &output)
        output.append(contentsOf: " GMT".utf8)
        return output
    }

    private static let weekdays: [StaticName] = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    private static let months: [StaticName] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    private static let monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

    private static func parse(_ bytes: ArraySlice<UInt8>, presentYear: Int) -> Int64? {
        var cursor = Cursor(rest: bytes)
        // The octet after the weekday's three letters tells the forms apart.
        guard let weekday = cursor.name(weekdays, prefix: 3) else { return nil }
        switch cursor.rest.first {
        case Octet.comma: return fixdate(&cursor)
        case Octet.space: return asctime(&cursor)
        default: return rfc850(&cursor, weekday: weekday, presentYear: presentYear)
        }
    }

    /// `, 06 Nov 1994 08:49:37 GMT`
    private static func fixdate(_ cursor: inout Cursor) -> Int64? {
        guard cursor.skip(", "), let day = cursor.number(2), cursor.skip(" "),
            let month = cursor.name(months, prefix: 3), cursor.skip(" "),
            let year = cursor.number(4), cursor.skip(" "),
            let time = cursor.timeOfDay(), cursor.skip(" GMT"), cursor.rest.isEmpty
        else { return nil }
        return seconds(year: year, month: month + 1, day: day, secondOfDay: time)
    }

    /// `day, 06-Nov-94 08:49:37 GMT`, after the first letters of the weekday, which this form writes in
    /// full.
    private static func rfc850(_ cursor: inout Cursor, weekday: Int, presentYear: Int) -> Int64? {
        guard cursor.skip(weekdays[weekday].dropFirst(3)), cursor.skip(", "),
            let day = cursor.number(2), cursor.skip("-"),
            let month = cursor.name(months, prefix: 3), cursor.skip("-"),
            let digits = cursor.number(2), cursor.skip(" "),
            let time = cursor.timeOfDay(), cursor.skip(" GMT"), cursor.rest.isEmpty
        else { return nil }
        // The last year with these digits that lies at most 50 years ahead.
        let latest = presentYear + 50
        let year = latest - (((latest - digits) % 100) + 100) % 100
        return seconds(year: year, month: month + 1, day: day, secondOfDay: time)
    }

    /// ` Nov  6 08:49:37 1994`
    private static func asctime(_ cursor: inout Cursor) -> Int64? {
        guard cursor.skip(" "), let month = cursor.name(months, prefix: 3), cursor.skip(" ") else {
            return nil
        }
        guard let day = cursor.skip(" ") ? cursor.number(1) : cursor.number(2), cursor.skip(" "),
            let time = cursor.timeOfDay(), cursor.skip(" "),
            let year = cursor.number(4), cursor.rest.isEmpty
        else { return nil }
        return seconds(year: year, month: month + 1, day: day, secondOfDay: time)
    }

    private static func seconds(year: Int, month: Int, day: Int, secondOfDay: Int) -> Int64? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let length = month == 2 && isLeap ? 29 : monthLengths[month - 1]
        guard day >= 1, day <= length else { return nil }
        var days = day - 1
        for earlier in 1..<month { days += earlier == 2 && isLeap ? 29 : monthLengths[earlier - 1] }
        return Int64(daysBefore(year: year) + days) * 86_400 + Int64(secondOfDay)
    }

    /// Days from 1 January 1970 to 1 January of `year`, in the proleptic Gregorian calendar; `year` is
    /// not negative.
    private static func daysBefore(year: Int) -> Int {
        guard year > 0 else { return -719_528 }
        let past = year - 1
        return past * 365 + past / 4 - past / 100 + past / 400 - 719_162
    }

    private static func civil(
        _ seconds: Int64
    ) -> (year: Int, month: Int, day: Int, weekday: Int, secondOfDay: Int) {
        let secondOfDay = Int(((seconds % 86_400) + 86_400) % 86_400)
        let days = Int((seconds - Int64(secondOfDay)) / 86_400)
        // An estimate that is at most one year off either way, then corrected.
        var year = max(0, 1970 + days * 400 / 146_097)
        while daysBefore(year: year) > days && year > 0 { year -= 1 }
        while daysBefore(year: year + 1) <= days { year += 1 }
        var rest = max(0, days - daysBefore(year: year))
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        var month = 1
        while true {
            let length = month == 2 && isLeap ? 29 : monthLengths[month - 1]
            if rest < length || month == 12 { break }
            rest -= length
            month += 1
        }
        // 1 January 1970 was a Thursday.
        return (year, month, rest + 1, (((days + 4) % 7) + 7) % 7, secondOfDay)
    }

    private static func appendTwoDigits(_ value: Int, to output: inout [UInt8]) {
        output.append(48 + UInt8(value / 10 % 10))
        output.append(48 + UInt8(value % 10))
    }
}

/// A name that is compared octet by octet.
private struct StaticName: ExpressibleByStringLiteral, Sendable {
    let utf8: [UInt8]

    init(stringLiteral value: String) {
        utf8 = Array(value.utf8)
    }

    func dropFirst(_ count: Int) -> ArraySlice<UInt8> { utf8.dropFirst(count) }
}

/// What is left to read of a date.
private struct Cursor {
    var rest: ArraySlice<UInt8>

    /// The index of the name whose first `prefix` letters come next, in any case.
    mutating func name(_ names: [StaticName], prefix: Int) -> Int? {
        let letters = rest.prefix(prefix)
        guard
            let index = names.firstIndex(where: { Octet.equalIgnoringCase($0.utf8.prefix(prefix), letters) })
        else { return nil }
        rest = rest.dropFirst(prefix)
        return index
    }

    /// Passes over `expected`, in any case.
    mutating func skip(_ expected: some Collection<UInt8>) -> Bool {
        guard Octet.equalIgnoringCase(rest.prefix(expected.count), expected) else { return false }
        rest = rest.dropFirst(expected.count)
        return true
    }

    mutating func skip(_ expected: StaticString) -> Bool {
        skip(UnsafeBufferPointer(start: expected.utf8Start, count: expected.utf8CodeUnitCount))
    }

    /// A number of exactly `digits` digits.
    mutating func number(_ digits: Int) -> Int? {
        let octets = rest.prefix(digits)
        guard octets.count == digits else { return nil }
        var value = 0
        for octet in octets {
            guard Octet.isDigit(octet) else { return nil }
            value = value * 10 + Int(octet - 48)
        }
        rest = rest.dropFirst(digits)
        return value
    }

    /// `08:49:37` as seconds since midnight; second 60 is a leap second.
    mutating func timeOfDay() -> Int? {
        guard let hour = number(2), skip(":"), let minute = number(2), skip(":"), let second = number(2),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }
}
