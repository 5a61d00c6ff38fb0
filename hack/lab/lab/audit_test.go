// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestAuditFollowerReadsEachRecordOnce(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "audit.jsonl")

	file, err := os.Create(path)
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, file.Close()) })

	follower := lab.NewAuditFollower(path)
	write := func(text string) {
		_, err := file.WriteString(text)
		require.NoError(t, err)
	}
	next := func() []string {
		records, err := follower.Next()
		require.NoError(t, err)

		verbs := make([]string, len(records))
		for i, record := range records {
			verbs[i] = record.Verb
		}

		return verbs
	}

	assert.Empty(t, next())

	write(`{"verb":"get"}` + "\n" + `{"verb":"list"}` + "\n")
	assert.Equal(t, []string{"get", "list"}, next())
	assert.Empty(t, next())

	write(`{"verb":"pat`)
	assert.Empty(t, next(), "a line that is being written")

	write(`ch"}` + "\n" + `{"verb":"delete"}` + "\n")
	assert.Equal(t, []string{"patch", "delete"}, next())
	assert.Empty(t, next())
}

func TestAuditFollowerDoesNotPassOverAnError(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "audit.jsonl")
	follower := lab.NewAuditFollower(path)

	_, err := follower.Next()
	require.ErrorContains(t, err, "failed to open audit log")

	require.NoError(t, os.WriteFile(path, []byte(`{"verb":"get"}`+"\n}\n"), 0o600))

	for range 2 {
		_, err = follower.Next()
		require.ErrorContains(t, err, "failed to decode audit log")
	}
}
