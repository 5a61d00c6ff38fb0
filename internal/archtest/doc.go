// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package archtest holds the tests that keep the shape of the repository true: which package may import which, that
// every package says what it is, that the core stays free of clocks and clients, that a Talos build can link it without
// carrying dead code or anything else that machined has not already, that it builds and passes its tests with the modules
// of the next Talos, and that nothing new appears at the top level.
//
// Each guard is a function from a small model (parsed files, an import graph, lists of names) to a list of violations,
// and says in each what to do about it. The tests run the guards over the repository and over examples that they must
// refuse. The package exports nothing and is not meant to be imported.
package archtest
