import EdgePolicy

extension NextStep {
    /// The same for a request with more fields than most: what is stored may answer it, but what the origin says to it
    /// is kept for nobody. One that the origin, and only it, finds too large would otherwise give its refusal to all.
    var withoutKeeping: NextStep {
        switch self {
        case .pass(let forward, _, _), .miss(let forward, _, _, _), .validate(_, let forward, _, _, _, _):
            return .pass(forward, .tooManyFields, candidate: nil)
        case .complete: return .pass(.partial, .tooManyFields, candidate: nil)
        case .serve(let stored, let outcome, let reason, let hint, _):
            return .serve(stored, outcome, reason, hint: hint, behind: .nothing)
        case .refuse, .answerOptions, .purge, .load: return self
        }
    }
}
