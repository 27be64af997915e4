import EdgeHTTP
import EdgePolicy
import EdgeStore
import Synchronization

/// The fields of a request that select among variants (RFC 9111 4.1): those that its pull sends, since by these the
/// origin chose, and will choose again.
///
/// Most reach it as they came. Only where a rule of Vary names one that does not is it worked out what is sent.
final class SelectingFields: Sendable {
    private let head: RequestHead
    private let touched: TouchedFields
    /// How a pull whose answer may be kept is sent on.
    let context: ForwardContext
    private let asCame: FieldValues
    private let asSent = Mutex<FieldValues?>(nil)

    init(head: RequestHead, touched: TouchedFields, context: ForwardContext) {
        self.head = head
        self.touched = touched
        self.context = context
        asCame = FieldValues(head.fields)
    }

    /// The fields of a pull whose answer may be kept, without conditions and without Host.
    var sent: FieldSection { sentValues.fields }

    private var sentValues: FieldValues {
        asSent.withLock { known in
            if let known { return known }
            var fields = ForwardedFields.rewriteRequest(head: head, context: context)
            fields.remove(.host)
            let values = FieldValues(fields)
            known = values
            return values
        }
    }

    /// Whether the request is sent with an Origin.
    private var hasOrigin: Bool {
        touched.known.contains(.origin) ? sent.contains(.origin) : head.names.contains(.origin)
    }

    private func values(for rule: VaryRule?) -> FieldValues {
        rule?.isTouched(by: touched, nominates: head.nominatesFields) == true ? sentValues : asCame
    }

    /// Whether a pull that sent `pulled` brings what this request selects, where the origin varies by `rule`.
    func agrees(with pulled: FieldValues, by rule: VaryRule) -> Bool {
        values(for: rule).agrees(with: pulled, by: rule)
    }

    /// How well a response fits that is stored, or will be, under `key`.
    func fit(of response: FieldSection, under key: SecondaryKey?) -> SecondaryKey.Fit {
        SecondaryKey.fit(of: response, under: key, request: values(for: key?.rule), hasOrigin: hasOrigin)
    }

    func fit(of stored: StoredResponse) -> SecondaryKey.Fit {
        fit(of: stored.fields, under: stored.secondaryKey)
    }

    func fit(of head: FillHead) -> SecondaryKey.Fit { fit(of: head.clientFields, under: head.secondaryKey) }

    /// The first of `variants` that fits exactly, or else the first that fits.
    func select(from variants: some Sequence<StoredResponse>) -> StoredResponse? {
        var near: StoredResponse?
        for stored in variants {
            switch fit(of: stored) {
            case .exact: return stored
            case .near: near = near ?? stored
            case .none: continue
            }
        }
        return near
    }
}
