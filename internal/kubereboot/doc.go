// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kubereboot reads, writes and follows the objects of coordinated reboots, with the rights of whoever runs a command.
// It decides nothing: what is to become of a NodeReboot its caller says.
//
// It takes the rights to get, list and watch nodereboots, to create, patch and delete them, to get and patch rebootbudgets,
// and to get Nodes, and to list them for completion; of these only what the command needs.
package kubereboot
