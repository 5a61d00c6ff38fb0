// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kube talks to the API server with the identity of this node: it reads the node's boot id, watches and deletes
// the node's own pods and reports what it deleted. It decides nothing; the decision core's types are what it returns.
//
// Everything here is allowed to a node by the Node authorizer and the NodeRestriction admission plugin, and nothing here
// needs more.
package kube
