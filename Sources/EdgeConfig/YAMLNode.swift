import Yams

/// In this module a node is one of the YAML tree's; the edge node is not named here.
typealias Node = Yams.Node
