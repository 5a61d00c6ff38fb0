// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package mutation shows that tests notice when a rule is broken. It applies one change after the other to a copy of a
// repository, and runs for each of them the one test that is to fail then.
//
// It proposes no changes of its own, and does not look for code without tests: the changes are a table that people write, one
// row for each rule that has to hold.
package mutation
