// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package archtest holds the tests that keep the shape of the repository true: which package may import which, that
// every package says what it is, that the cores stay free of clocks and clients, that a Talos build can link what is for
// it without carrying dead code or anything else that machined has not already, that this builds and passes its tests
// with the modules of the next Talos, and that nothing new appears at the top level.
//
// Each guard is a function that refuses what it finds wrong in a small model of the repository, and says what to do about
// it. One table has them all, each with an example that it must refuse in part; the tests run every guard over the
// repository and over its example. The package exports nothing and is not meant to be imported.
//
// # What machined links
//
// What machined links, it links with everything behind it, in the versions that Talos pins. So hack/compat has no list of
// machined's 1,970 packages, but the 36 of them that our packages import themselves and the 82 modules with versions that
// those come from. A package that is new to machined, or a version that is not Talos', is on neither. `make linked` writes
// the list with Talos from the module proxy.
//
// # What it costs
//
// With an empty build cache the tests take 140 s of CPU time, besides compiling the tests themselves; most goes into
// compiling COSI, client-go and the machinery of the next Talos. It was 296 s when the packages of machined were built for
// arm64 (the type checker takes 15 s, since it needs only the declarations of other people's code), and when the tests
// with the next Talos were compiled with optimisation and had vet look at every package below. 43 s of the rest is the
// standard library, which the tests of the lab share.
package archtest
