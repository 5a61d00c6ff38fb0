// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package specs holds the data of rebound's COSI resources and nothing else.
//
// It imports only the standard library, so that the decision core can read and write the very data that is published
// without reaching COSI. The resources that carry these specs (types, ids, print columns) are one folder up.
package specs

//go:generate go tool -modfile=../../../../hack/tools/go.mod enumer -type=Phase,DaemonSetPhase -linecomment -text -output=phase.generated.go
//go:generate go tool -modfile=../../../../hack/tools/go.mod deep-copy -type RecoveryStatus -type DaemonSetRecovery -header-file ../../../../hack/boilerplate.go.txt -o deep_copy.generated.go .
