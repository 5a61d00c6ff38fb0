// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

// What the tests of this package look at one by one.
var (
	CourseOf    = courseOf
	LongestWait = longestWait
	IsNext      = isNext
	NewResult   = newResult
)

// NodeNames are all nodes, the worker last.
func NodeNames() []string { return nodeNames }
