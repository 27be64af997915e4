import EdgeHTTP
import Testing

@Suite struct HTTPDateTests {
    private func parse(_ text: String) -> Int64? { HTTPDate.parse(Array(text.utf8)[...]) }

    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
            ("Sun, 21 Nov 2286 04:46:39 GMT", 10_000_039_599),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ] as [(String, Int64)])
    func `reads all three forms`(_ text: String, _ seconds: Int64) {
        #expect(parse(text) == seconds)
    }

    @Test(arguments: [
        "THU, 18 Aug 2050 02:01:18 GMT", "Thu, 18 AUG 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 gMT",
        "Thursday, 18-Aug-50 02:01:18 GMT", "tHURSDAY, 18-aug-50 02:01:18 gmt", "Thu Aug 18 02:01:18 2050",
    ])
    func `takes letters in any case and obsolete forms`(_ text: String) {
        #expect(parse(text) == 2_544_400_878)
    }

    @Test(arguments: [
        "", "0", "-1", "Thu", "Thu,", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT", "Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT", "Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT ", "Thu, 18 Aug 2050 02:01:18 GMT, x", "Thu, 18 Aug 2050 02:01:18",
        "Thu, 18 Aug 2050 24:01:18 GMT", "Thu, 18 Aug 2050 02:60:18 GMT", "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu, 31 Apr 2050 02:01:18 GMT", "Tue, 29 Feb 2100 02:01:18 GMT", "Thu, 00 Aug 2050 02:01:18 GMT",
        "Xyz, 18 Aug 2050 02:01:18 GMT", "Thu, 18 Abc 2050 02:01:18 GMT", "Thu, 18-Aug-50 02:01:18 GMT",
        "Thurs, 18-Aug-50 02:01:18 GMT", "Thursday, 18 Aug 2050 02:01:18 GMT", "Thu Aug 8 02:01:18 2050",
        "Thu Aug  8 02:01:18 2050 GMT", "Thu, +8 Aug 2050 02:01:18 GMT",
    ])
    func `refuses everything else`(_ text: String) {
        #expect(parse(text) == nil)
    }

    @Test(
        arguments: [
            // In 2026, 76 is fifty years ahead and stays; 77 would be fifty-one and belongs to the last
            // century.
            (1_790_000_000, "Monday, 01-Jun-76 00:00:00 GMT", "Mon, 01 Jun 2076 00:00:00 GMT"),
            (1_790_000_000, "Monday, 01-Jun-77 00:00:00 GMT", "Mon, 01 Jun 1977 00:00:00 GMT"),
            (1_790_000_000, "Monday, 01-Jun-26 00:00:00 GMT", "Mon, 01 Jun 2026 00:00:00 GMT"),
            (0, "Monday, 01-Jun-19 00:00:00 GMT", "Mon, 01 Jun 2019 00:00:00 GMT"),
            (0, "Monday, 01-Jun-21 00:00:00 GMT", "Mon, 01 Jun 1921 00:00:00 GMT"),
        ] as [(Int64, String, String)])
    func `places a two-digit year at most fifty years ahead`(_ now: Int64, _ text: String, _ meant: String) {
        #expect(HTTPDate.parse(Array(text.utf8)[...], relativeTo: now) == parse(meant))
        #expect(parse(meant) != nil)
    }

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_219_200, "Sat, 21 Nov 2026 00:00:00 GMT"), (.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (.min, "Sat, 01 Jan 0000 00:00:00 GMT"),
        ] as [(Int64, String)])
    func `writes IMF-fixdate`(_ seconds: Int64, _ text: String) {
        #expect(String(decoding: HTTPDate.format(seconds), as: UTF8.self) == text)
    }

    @Test func `reads back what it wrote, over twelve centuries`() {
        var seconds: Int64 = -20_000_000_000
        while seconds < 20_000_000_000 {
            #expect(HTTPDate.parse(HTTPDate.format(seconds)[...]) == seconds)
            seconds += 17_654_321
        }
    }
}
