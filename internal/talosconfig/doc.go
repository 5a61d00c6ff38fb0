// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package talosconfig has what every client of the Talos API does with its configuration: it finds credentials that cannot be
// used before a server refuses them without a word, and connects to the endpoints in a way that does not wait long for a dead
// one. It does not read files: where a configuration comes from, and so what to do about a bad one, only its user knows.
package talosconfig
