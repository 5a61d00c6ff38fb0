// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// right is one verb on one resource, in one namespace or, if that is empty,
// everywhere.
type right struct{ namespace, group, resource, verb string }

// rightOf is what a request has taken.
func rightOf(record lab.AuditRecord) right {
	resource := record.Resource
	if record.Subresource != "" {
		resource += "/" + record.Subresource
	}

	return right{record.Namespace, record.Group, resource, record.Verb}
}

// everywhere is the same right in all namespaces.
func (r right) everywhere() right { return right{"", r.group, r.resource, r.verb} }

// enoughScenes is after how many scenarios every right should have been used.
const enoughScenes = 15

// rightsOfAnAgent is what rebound on a node takes at the most of the rights that
// a kubelet has: it is granted nothing. Whether it lists pods depends on whether
// the API server can stream a list.
var rightsOfAnAgent = []right{
	{"", "", "nodes", "get"},
	{"", "", "nodes", "list"},
	{"", "", "nodes", "watch"},
	{"", "", "nodes/status", "patch"},
	{"", "", "pods", "list"},
	{"", "", "pods", "watch"},
	{"", "", "pods", "delete"},
	{"", "", "events", "create"},
}

// TestRebootUsesEveryRightThatItHas goes by the audit log of all scenarios, so
// it has to come after them: tests run in the order of their files. That nothing
// is refused is an invariant of each of them; here, what was used has to be what
// is granted, both ways.
func TestRebootUsesEveryRightThatItHas(t *testing.T) {
	opened, err := openTheaterIfUsed()
	if opened == nil || opened.scenes < enoughScenes {
		t.Skip("it goes by what the other scenarios have done")
	}

	require.NoError(t, err)

	records, err := opened.cluster.Audit()
	require.NoError(t, err)

	granted := opened.rights(t)
	used := map[right]bool{}

	for _, record := range records {
		switch {
		case record.Resource == "": // a path of the API server, which everybody may read
		case record.User == lab.CoordinatorAccount.User():
			taken := rightOf(record)
			used[taken], used[taken.everywhere()] = true, true
			assert.True(t, granted[taken] || granted[taken.everywhere()], "%+v is used and not granted by the manifests", taken)
		case record.UserAgent == lab.ReboundUserAgent && record.Code != http.StatusUnauthorized:
			assert.True(t, strings.HasPrefix(record.User, lab.NodeUserPrefix), "%s with another identity than a node's: %s", record.URI, record.User)
			assert.Contains(t, rightsOfAnAgent, rightOf(record).everywhere())
		}
	}

	for right := range granted {
		assert.True(t, used[right], "%+v is granted and never used", right)
	}
}

// rights returns what the coordinator's roles allow.
func (opened *theater) rights(t *testing.T) map[right]bool {
	t.Helper()

	roles := opened.cluster.Client().RbacV1()
	name := lab.CoordinatorAccount.Name

	everywhere, err := roles.ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)

	rights := map[right]bool{}
	rightsIn(rights, "", everywhere.Rules)

	for _, namespace := range []string{lab.CoordinatorAccount.Namespace, metav1.NamespaceDefault} {
		role, err := roles.Roles(namespace).Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)

		rightsIn(rights, namespace, role.Rules)
	}

	return rights
}

// rightsIn adds what the rules allow.
func rightsIn(rights map[right]bool, namespace string, rules []rbacv1.PolicyRule) {
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights[right{namespace, group, resource, verb}] = true
				}
			}
		}
	}
}
