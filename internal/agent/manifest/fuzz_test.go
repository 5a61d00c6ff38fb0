// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// FuzzUnit puts anything into the command line of a unit. It stays one argument of one line.
func FuzzUnit(f *testing.F) {
	f.Add("! needs-restarting -r")
	f.Add("true\nExecStartPre=/bin/sh")
	f.Add("a\" $(id) '%h' \\")
	f.Add("a\r\tb\u2028c\x00")

	on, err := platform.Lookup(platform.Systemd, "")
	require.NoError(f, err)

	render := func(command string) (string, error) {
		text, err := manifest.Render(on, manifest.Options{Reboots: platform.Reboots{Enabled: true, SentinelCommand: command}})

		return string(text), err
	}

	plain, err := render("true")
	require.NoError(f, err)

	f.Fuzz(func(t *testing.T, command string) {
		text, err := render(command)
		if err != nil || command == "" {
			return
		}

		assert.Equal(t, strings.Count(plain, "\n"), strings.Count(text, "\n"), "it adds no line")

		_, line, found := strings.Cut(text, "--reboot-sentinel-command=")
		require.True(t, found)

		line, _, _ = strings.Cut(line, "\n")
		assert.Equal(t, command, unquote(t, line))
	})
}

// unquote reads an argument that may begin within quotes, as systemd does (systemd.syntax(7), "Quoting").
func unquote(t *testing.T, line string) string {
	t.Helper()

	var read strings.Builder

	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			assert.Empty(t, line[i+1:], "the argument is the last one")

			return read.String()
		case c == '\\' || (c == '%' || c == '$') && i+1 < len(line) && line[i+1] == c:
			i++

			fallthrough
		default:
			read.WriteByte(line[i])
		}
	}

	return read.String()
}
