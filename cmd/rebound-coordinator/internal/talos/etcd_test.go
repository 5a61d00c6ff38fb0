// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// etcd is what the nodes show of theirs: every node by its address a member with its status.
type etcd map[string]*member

type member struct {
	// id is that of the member; the others know it by that, unless it is unlisted.
	id                uint64
	learner, unlisted bool
	// learning is whether it says so itself.
	learning bool
	errors   []string
	err      error
}

func healthy() etcd { return etcd{first: {id: 1}, second: {id: 2}, third: {id: 3}} }

// show makes members of the nodes. What is not a node of the cluster is only listed.
func (c *cluster) show(t *testing.T, etcd etcd) {
	t.Helper()

	var list []*machine.EtcdMember

	for name, member := range etcd {
		if !member.unlisted {
			list = append(list, &machine.EtcdMember{Id: member.id, Hostname: "node-" + name, IsLearner: member.learner})
		}
	}

	for name, member := range etcd {
		if c.Node(name) == nil {
			continue
		}

		c.Node(name).Configure(t, func(config *talosapi.MachineConfig) {
			config.Etcd = func(context.Context) (talosapi.Etcd, error) {
				status := &machine.EtcdMemberStatus{MemberId: member.id, IsLearner: member.learning, Errors: member.errors}

				return talosapi.Etcd{Status: status, Members: list}, member.err
			}
		})
	}
}

func TestEtcdCanDoWithoutOneNode(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	for name, tc := range map[string]struct {
		change func(etcd)
		says   []string // nothing if it can
	}{
		"all are well":             {func(etcd) {}, nil},
		"the one that goes is ill": {func(e etcd) { e[third].errors = []string{"NOSPACE"} }, nil},
		"the one that goes learns": {func(e etcd) { e[third].learner = true }, nil},
		"the one that goes is new": {func(e etcd) { delete(e, third) }, nil},
		"another one learns too":   {func(e etcd) { e[unknown] = &member{id: 9, learner: true} }, nil},
		"a member is left over": {
			func(e etcd) { e[unknown] = &member{id: 9} },
			[]string{`etcd has 2 members with a vote on nodes that are not known: "node-10.5.0.4", "node-10.5.0.9"`},
		},
		"one is a learner": {
			func(e etcd) { e[first].learner, e[first].learning = true, true },
			[]string{`etcd of "10.5.0.2": it is a learner`},
		},
		"one is a learner to others": {
			func(e etcd) { e[first].learner = true },
			[]string{`etcd of "10.5.0.2": it is not among the members with a vote`},
		},
		"one is a learner to itself": {
			func(e etcd) { e[first].learning = true },
			[]string{`etcd of "10.5.0.2": it is a learner`},
		},
		"one is not a member": {
			func(e etcd) { e[second].unlisted = true },
			[]string{`etcd of "10.5.0.3": it is not among the members with a vote`},
		},
		"one has no leader": {
			func(e etcd) { e[second].errors = []string{"etcdserver: no leader", "NOSPACE"} },
			[]string{`etcd of "10.5.0.3": etcdserver: no leader, NOSPACE`},
		},
		"two are ill": {
			func(e etcd) {
				e[first].errors = []string{"NOSPACE"}
				e[second].err = errors.New("failed to query etcd status: context deadline exceeded")
			},
			[]string{`etcd of "10.5.0.2": NOSPACE; etcd of "10.5.0.3": failed to query etcd status: context deadline exceeded`},
		},
		"two say that they are one": {
			func(e etcd) { e[second].id = 1 },
			nil, // and the third is another one
		},
	} {
		t.Log(name)

		etcd := healthy()
		tc.change(etcd)
		cluster.show(t, etcd)

		err := cluster.client(t, reader).EtcdHealth(deadline(t), []string{first, second})

		if tc.says == nil {
			assert.NoError(t, err)
		}

		for _, says := range tc.says {
			assertUnknown(t, err, says)
		}
	}
}

func TestANodeIsAskedForItsEtcdAlone(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	client := cluster.client(t, reader)

	cluster.show(t, etcd{first: {id: 1}, second: {id: 2}, third: {id: 3, errors: []string{"NOSPACE"}}})
	require.NoError(t, client.EtcdHealth(deadline(t), []string{first}))
	assertUnknown(t, client.EtcdHealth(deadline(t), []string{third}), `etcd of "10.5.0.4": NOSPACE`)

	cluster.clientWith(t, nil)
	require.NoError(t, client.EtcdHealth(deadline(t), nil), "without others there is nothing to ask")
}

func TestAWorkerHasNoEtcd(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)

	assertRefused(t, cluster.client(t, admin).EtcdHealth(deadline(t), []string{first}),
		`etcd of "10.5.0.2": etcd status is only available on control plane nodes`)
}

func TestEtcdIsNotShownToEveryRole(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	cluster.show(t, healthy())

	for _, roles := range []role.Set{admin, operator, reader, role.MakeSet(role.EtcdBackup)} {
		require.NoError(t, cluster.client(t, roles).EtcdHealth(deadline(t), []string{first, second}))
	}

	assertRefused(t, cluster.client(t, role.MakeSet(role.MetaWriter)).EtcdHealth(deadline(t), []string{first, second}),
		`etcd of "10.5.0.2": not authorized; etcd of "10.5.0.3": not authorized`)
}

func TestNodesAreAskedForTheirEtcdSideBySide(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	cluster.show(t, healthy())

	cluster.Node(first).Hang(t)
	cluster.Node(second).Hang(t)

	start := time.Now()
	err := cluster.client(t, reader).WithTimeout(soon).EtcdHealth(deadline(t), []string{first, second, third})

	assertUnknown(t, err, `etcd of "10.5.0.2": no answer within 2s; etcd of "10.5.0.3": no answer within 2s`)
	assert.NotContains(t, err.Error(), third, "it is not kept waiting")
	assert.Less(t, time.Since(start), 2*soon)

	cluster.Node(first).Stop()
	assertUnknown(t, cluster.client(t, reader).WithTimeout(soon).EtcdHealth(deadline(t), []string{first, second, third}),
		"no such file or directory")
}
