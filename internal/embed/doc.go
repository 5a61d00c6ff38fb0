// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package embed puts rebound into a source tree of Talos, takes it out again, and checks that the result will start.
//
// Plan and PlanRevert only read; what they return is a list of changes, file by file, which Apply writes all or none of.
// Every edit is an insertion that can be recognised and taken back, and no plan is returned before that was tried: what
// cannot be restored byte for byte is not edited.
package embed
