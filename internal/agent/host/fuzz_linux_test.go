// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/agent/host"
)

// FuzzBootTime reads a file in the form of /proc/stat.
func FuzzBootTime(f *testing.F) {
	f.Add("cpu 1 2 3\nbtime 1769000000\n")
	f.Add("btime 9223372036854775808\n")
	f.Add("btime \n")
	f.Add(strings.Repeat("x", 1<<17) + "\nbtime 1\n")

	path := filepath.Join(f.TempDir(), "stat")

	f.Fuzz(func(t *testing.T, text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

		if at, err := host.BootTime(path); err == nil {
			assert.Contains(t, text, "btime ")
		} else {
			assert.Equal(t, time.Time{}, at)
		}
	})
}

// FuzzSmaps reads a file in the form of /proc/self/smaps.
func FuzzSmaps(f *testing.F) {
	f.Add("00400000-00401000 r-xp 00000000 08:01 42 /bin/rebound\nAnonymous: 0 kB\nVmFlags: rd ex\n")
	f.Add("00400000-00401000 rw-p 00000000 08:01 42 /bin/rebound\nAnonymous:\n\n")
	f.Add("0-0")

	f.Fuzz(func(t *testing.T, text string) {
		assert.LessOrEqual(t, host.MappingsOf("/bin/rebound", []byte(text)), strings.Count(text, "/bin/rebound"))
	})
}

// FuzzNodename reads the kubelet's client certificate.
func FuzzNodename(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"))

	f.Fuzz(func(t *testing.T, certificate []byte) {
		name, err := host.Nodename(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: certificate}})
		if err == nil {
			assert.NoError(t, host.CheckNodename(name))
		}
	})
}
