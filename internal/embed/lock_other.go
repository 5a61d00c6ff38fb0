// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build !unix

package embed

// Lock does nothing here: it is for whom runs this to see to it that nobody else does at the same time.
func Lock(string) (unlock func() error, err error) { return func() error { return nil }, nil }
