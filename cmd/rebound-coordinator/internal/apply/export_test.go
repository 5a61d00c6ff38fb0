// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

// StatusObject is the inverse of read.StatusFacts.
var StatusObject = statusObject

// HeldBy names the holders.
var HeldBy = heldBy

// InOrder is the order in which statuses are written.
var InOrder = inOrder
