// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestOnlyTheNodeNamedReboots(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for _, roles := range []role.Set{operator, admin} {
		client := cluster.client(t, roles)

		require.NoError(t, client.Check(deadline(t), at(second)))
		assert.Empty(t, cluster.rebooted(), "a check changes nothing")

		require.NoError(t, client.Reboot(deadline(t), at(second)))
		assert.Equal(t, []string{second}, cluster.rebooted())
	}
}

func TestANodeWithTheAddressOfAnotherRebootsNeither(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, admin)
	liar := talos.Node{Name: at(first).Name, Address: second}

	assertRefused(t, client.Reboot(deadline(t), liar), `the machine there is node "node-10.5.0.3", and not "node-10.5.0.2"`)
	assertRefused(t, client.Check(deadline(t), liar), `the machine there is node "node-10.5.0.3"`)

	nameless := netip.MustParseAddr("10.5.0.7")
	cluster.AddStockKubernetesNode(t, "node-10.5.0.7")
	cluster.AddMember(t, "node-10.5.0.7", nameless)
	cluster.count(t, nameless.String())

	assertUnsent(t, client.Reboot(deadline(t), at(nameless.String())), "does not know the name of its Node yet")
	assert.Empty(t, cluster.rebooted())
}

func TestWithoutTheRoleNothingReboots(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for _, roles := range []role.Set{reader, {}, role.MakeSet(role.EtcdBackup), role.MakeSet(role.Impersonator)} {
		client := cluster.client(t, roles)

		assertRefused(t, client.Reboot(deadline(t), at(second)), `failed to reboot "10.5.0.3": not authorized`)
		assertRefused(t, client.Check(deadline(t), at(second)), "rebooting takes os:operator or os:admin")
	}

	assert.Empty(t, cluster.rebooted())
}

func TestACheckFindsTheRoleMissingFirst(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	assertRefused(t, cluster.client(t, reader).Check(deadline(t), at(second)),
		`failed to check the Talos API of "10.5.0.3": context "lab" of talosconfig "`+cluster.path+`": it has the roles ["os:reader"]`)
}

func TestOnlyAddressesOfOneNodeAreUsed(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, admin)

	for node, says := range map[string]string{
		"":                  "it is no IP address",
		" ":                 "it is no IP address",
		"endpoint":          "it is no IP address",
		"10.5.0.2,10.5.0.3": "it is no IP address",
		"10.5.0.2:50000":    "it is no IP address",
		"127.0.0.1":         "it is not the address of one node",
		"::1":               "it is not the address of one node",
		"::ffff:127.0.0.1":  "it is not the address of one node",
		"0.0.0.0":           "it is not the address of one node",
		"::":                "it is not the address of one node",
		"224.0.0.1":         "it is not the address of one node",
	} {
		assertRefused(t, client.Reboot(deadline(t), at(node)), says)
		assertRefused(t, client.Check(deadline(t), at(node)), says)
		assertRefused(t, client.EtcdHealth(deadline(t), []string{node}), says)
	}

	assert.Empty(t, cluster.rebooted())
}

func TestANoOfTheServerIsARefusal(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, admin)

	for code, refused := range map[codes.Code]bool{
		codes.PermissionDenied:   true,
		codes.Unauthenticated:    true,
		codes.Unimplemented:      true,
		codes.InvalidArgument:    true,
		codes.NotFound:           true,
		codes.FailedPrecondition: true,
		codes.Unavailable:        false,
		codes.Unknown:            false,
		codes.Internal:           false,
		codes.Aborted:            false,
		codes.DeadlineExceeded:   false,
		codes.Canceled:           false,
		codes.ResourceExhausted:  false,
	} {
		cluster.Node(second).Configure(t, func(config *talosapi.MachineConfig) {
			config.Reboot = func(machine.RebootRequest_Mode) error {
				return status.Error(code, "remote error: tls: the words\n\x1b[1mof "+code.String())
			}
		})

		err, says := client.Reboot(deadline(t), at(second)), "remote error: tls: the words  [1mof "+code.String()

		if refused {
			assertRefused(t, err, says)
		} else {
			assertUnknown(t, err, says)
		}
	}
}

func TestAnEndpointOfAWorkerRefuses(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	worker, err := talosapi.Listen(talosapi.EndpointConfig{
		Address: "127.0.0.1:0", Authority: cluster.Authority, Local: cluster.Node(second).Target(),
	})
	require.NoError(t, err)

	defer worker.Close() //nolint:errcheck // the test is over

	config := cluster.config(t, admin)
	config.Contexts["lab"].Endpoints = []string{worker.Address()}

	assertRefused(t, cluster.clientOf(t, config).Reboot(deadline(t), at(second)), "no request forwarding")
	assert.Empty(t, cluster.rebooted())
}

func TestANodeThatDoesNotAnswerIsUnknown(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, operator)

	cluster.Node(first).Hang(t)
	cluster.Node(second).Stop()

	for _, tc := range []struct {
		call   func(context.Context, talos.Node) error
		assert func(t *testing.T, err error, says string)
	}{
		{client.WithTimeout(soon).Reboot, assertUnsent}, // it is not asked to reboot before it has said who it is
		{client.WithTimeout(soon).Check, assertUnknown},
	} {
		start := time.Now()

		tc.assert(t, tc.call(deadline(t), at(first)), `"10.5.0.2": no answer within 2s`)
		assert.Less(t, time.Since(start), 3*soon)

		tc.assert(t, tc.call(deadline(t), at(second)), "connect: no such file or directory")
		tc.assert(t, tc.call(deadline(t), at(unknown)), "no such host")
	}

	require.NoError(t, client.Reboot(deadline(t), at(third)))
	assert.Equal(t, []string{third}, cluster.rebooted())
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, operator)
	lost := errors.New("leadership lost")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(lost)

	for _, err := range []error{client.Reboot(ctx, at(first)), client.Check(ctx, at(first)), client.EtcdHealth(ctx, []string{first})} {
		assert.ErrorIs(t, err, lost)
		assertUnsent(t, err, "leadership lost")
	}

	assert.Empty(t, cluster.rebooted(), "nothing is sent any more")

	asked, release := make(chan struct{}), make(chan struct{})

	cluster.Node(first).Configure(t, func(config *talosapi.MachineConfig) {
		config.Reboot = func(machine.RebootRequest_Mode) error {
			close(asked)
			<-release

			return nil
		}
	})

	defer close(release)

	ctx, cancel = context.WithCancelCause(t.Context())
	defer cancel(nil)

	go func() {
		<-asked
		cancel(lost)
	}()

	err := client.Reboot(ctx, at(first))
	assert.ErrorIs(t, err, lost)
	assertUnknown(t, err, "leadership lost")
}

func TestARebootIsAskedForOnce(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	asked, release := make(chan struct{}, 10), make(chan struct{})

	cluster.Node(first).Configure(t, func(config *talosapi.MachineConfig) {
		config.Reboot = func(machine.RebootRequest_Mode) error {
			asked <- struct{}{}
			<-release

			return nil
		}
	})

	gone := make(chan struct{})

	go func() {
		defer close(gone)

		<-asked
		cluster.Node(first).Stop()
	}()

	assertUnknown(t, cluster.client(t, operator).Reboot(deadline(t), at(first)), `failed to reboot "10.5.0.2": `)
	close(release)
	<-gone

	assert.Empty(t, asked)
}

func TestAnEndpointThatIsAwayHearsOfNothing(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	// It takes connections and says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is there at once
	require.NoError(t, err)

	defer silent.Close() //nolint:errcheck // the test is over

	config := cluster.config(t, operator)

	config.Contexts["lab"].Endpoints = []string{"127.0.0.1:1"}
	assertUnsent(t, cluster.clientOf(t, config).Reboot(deadline(t), at(first)), "connection refused")

	config.Contexts["lab"].Endpoints = []string{silent.Addr().String()}
	assertUnsent(t, cluster.clientOf(t, config).WithTimeout(soon).Reboot(deadline(t), at(first)), "no answer within 2s")

	config.Contexts["lab"].Endpoints = []string{"127.0.0.1:1", silent.Addr().String(), cluster.Endpoint()}
	require.NoError(t, cluster.clientOf(t, config).Reboot(deadline(t), at(first)), "one endpoint is enough")
	assert.Equal(t, []string{first}, cluster.rebooted())
}
