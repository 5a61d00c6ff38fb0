// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const version = "v1.13.9"

// The nodes of a cluster. There is none of the last name.
const (
	first   = "worker-a"
	second  = "worker-b"
	unknown = "worker-x"
)

var (
	admin    = role.MakeSet(role.Admin)
	operator = role.MakeSet(role.Operator)
	reader   = role.MakeSet(role.Reader)
)

// newCluster starts a cluster with two nodes. Every reader may read their names. Only admins may read that discovery is
// switched off.
func newCluster(t *testing.T) *ctest.Cluster {
	t.Helper()

	cluster := ctest.NewCluster(t)
	cluster.DisableDiscovery(t)

	for _, name := range []string{first, second} {
		cluster.AddNode(t, name).Say(t, recovery.RecoveryStatusSpec{NodeName: name})
	}

	return cluster
}

func newClient(t *testing.T, config *clientconfig.Config) *client.Client {
	t.Helper()

	talos, err := client.New(t.Context(), client.WithConfig(config))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, talos.Close()) })

	return talos
}

// deadline ends a call that hangs.
func deadline(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)

	return ctx
}

// nodeName asks the node that ctx is for what it is called.
func nodeName(ctx context.Context, talos *client.Client) (string, error) {
	got, err := safe.StateGetByID[*recovery.RecoveryStatus](ctx, talos.COSI, recovery.RecoveryStatusID)
	if err != nil {
		return "", err
	}

	return got.TypedSpec().NodeName, nil
}

// assertStatus asserts what a client is told. An empty message stands for any.
func assertStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()

	require.Error(t, err)
	assert.Equal(t, code, status.Code(err), "%v", err)

	if message != "" {
		assert.Equal(t, message, status.Convert(err).Message())
	}
}
