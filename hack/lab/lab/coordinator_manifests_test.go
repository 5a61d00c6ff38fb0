// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	coordinatorNamespace = "rebound-system"
	coordinatorUser      = "system:serviceaccount:" + coordinatorNamespace + ":rebound-coordinator"
)

// TestCoordinatorManifests asks a real API server about what the coordinator is
// deployed with.
func TestCoordinatorManifests(t *testing.T) {
	t.Parallel()

	cluster := alone(t)

	client, err := dynamic.NewForConfig(cluster.Config())
	require.NoError(t, err)

	establish(t, client)
	installTalosCRD(t, client)

	base, talos := build(t, "base"), build(t, filepath.Join("examples", "talos"))
	require.Len(t, talos, len(base)+1, "the Talos ServiceAccount comes on top")

	// What lies in a namespace is refused without it, and a pod without its ServiceAccount.
	apply(t, cluster, client, metav1.ApplyOptions{}, only(base, "Namespace", "ServiceAccount"))

	t.Run("are accepted", func(t *testing.T) {
		apply(t, cluster, client, dryRun(), base)
		apply(t, cluster, client, dryRun(), talos)
		apply(t, cluster, client, dryRun(), read(t, filepath.Join(deployFolder, "examples", "policies.yaml")))
		apply(t, cluster, client, dryRun(), parse(t, fenced(t, filepath.Join(deployFolder, "KURED.md"))))
	})

	t.Run("have pods that the level restricted admits", func(t *testing.T) {
		for _, objects := range [][]*unstructured.Unstructured{base, talos} {
			testPodAdmitted(t, cluster.Client(), objects)
		}
	})

	apply(t, cluster, client, metav1.ApplyOptions{}, only(base, "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"))

	t.Run("give the coordinator its rights and no more", func(t *testing.T) { testCoordinatorRights(t, cluster.Client()) })

	t.Run("give it the same with the Talos component", func(t *testing.T) {
		kinds := []string{"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"}
		rights := func(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
			// Of Talos' own kind is the one that asks for the talosconfig.
			return slices.DeleteFunc(only(objects, kinds...), func(object *unstructured.Unstructured) bool {
				return object.GroupVersionKind().Group == "talos.dev"
			})
		}

		assert.ElementsMatch(t, rights(base), rights(talos))
	})

	t.Run("have an image of their own release", func(t *testing.T) {
		for _, object := range only(base, "Deployment") {
			assert.Regexp(t, `^ghcr\.io/talos-rebound/rebound-coordinator:v\d`, template(t, object).Spec.Containers[0].Image)
		}
	})
}

// testPodAdmitted creates the Deployment's pod, without keeping it, and then one
// that asks for more, to see that somebody looks.
func testPodAdmitted(t *testing.T, client kubernetes.Interface, objects []*unstructured.Unstructured) {
	t.Helper()

	deployments := only(objects, "Deployment")
	require.Len(t, deployments, 1)

	pods := client.CoreV1().Pods(coordinatorNamespace)
	pod := template(t, deployments[0])
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}

	created, err := pods.Create(t.Context(), pod, dry)
	require.NoError(t, err)
	assert.Equal(t, int32(2000000000), *created.Spec.Priority, "the priority class exists")

	pod.Spec.Containers[0].SecurityContext.Capabilities = nil

	_, err = pods.Create(t.Context(), pod, dry)
	require.True(t, apierrors.IsForbidden(err), err)
	assert.ErrorContains(t, err, `violates PodSecurity "restricted`)
}

// testCoordinatorRights asks the API server what the coordinator may do.
func testCoordinatorRights(t *testing.T, client kubernetes.Interface) {
	t.Helper()

	for name, tc := range map[string]struct {
		allowed   bool
		verb      string
		group     string
		resource  string
		namespace string
	}{
		"patch nodes":                    {true, "patch", "", "nodes", ""},
		"evict pods":                     {true, "create", "", "pods/eviction", "app"},
		"delete pods":                    {true, "delete", "", "pods", "app"},
		"watch budgets of pods":          {true, "watch", "policy", "poddisruptionbudgets", ""},
		"take a slot":                    {true, "update", "reboot.rebound.dev", "rebootbudgets/status", ""},
		"say how far a reboot is":        {true, "update", "reboot.rebound.dev", "nodereboots/status", ""},
		"make a reboot of a wish":        {true, "create", "reboot.rebound.dev", "nodereboots", ""},
		"lead":                           {true, "update", "coordination.k8s.io", "leases", coordinatorNamespace},
		"tell that it leads":             {true, "create", "", "events", coordinatorNamespace},
		"tell about nodes":               {true, "create", "events.k8s.io", "events", metav1.NamespaceDefault},
		"update nodes":                   {false, "update", "", "nodes", ""},
		"delete nodes":                   {false, "delete", "", "nodes", ""},
		"say how a node is":              {false, "patch", "", "nodes/status", ""},
		"create pods":                    {false, "create", "", "pods", coordinatorNamespace},
		"run in pods":                    {false, "create", "", "pods/exec", "app"},
		"delete pods by the dozen":       {false, "deletecollection", "", "pods", "app"},
		"change a budget of pods":        {false, "update", "policy", "poddisruptionbudgets", "app"},
		"change its own budget":          {false, "update", "reboot.rebound.dev", "rebootbudgets", ""},
		"change a policy":                {false, "update", "reboot.rebound.dev", "rebootpolicies", ""},
		"read Secrets":                   {false, "get", "", "secrets", coordinatorNamespace},
		"lead elsewhere":                 {false, "update", "coordination.k8s.io", "leases", metav1.NamespaceSystem},
		"tell elsewhere":                 {false, "create", "events.k8s.io", "events", metav1.NamespaceSystem},
		"delete the lease":               {false, "delete", "coordination.k8s.io", "leases", coordinatorNamespace},
		"give itself more":               {false, "bind", "rbac.authorization.k8s.io", "clusterroles", ""},
		"ask for a token of another one": {false, "create", "", "serviceaccounts/token", coordinatorNamespace},
	} {
		t.Run(name, func(t *testing.T) {
			resource, subresource, _ := strings.Cut(tc.resource, "/")

			review, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User:   coordinatorUser,
					Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + coordinatorNamespace, "system:authenticated"},
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: tc.verb, Group: tc.group, Resource: resource, Subresource: subresource, Namespace: tc.namespace,
					},
				},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			assert.Equal(t, tc.allowed, review.Status.Allowed, review.Status.Reason)
		})
	}
}

// build does what kubectl apply -k does before it applies.
func build(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()

	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deployFolder, folder))
	require.NoError(t, err)

	text, err := resources.AsYaml()
	require.NoError(t, err)

	return parse(t, text)
}

func read(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()

	text, err := os.ReadFile(file)
	require.NoError(t, err)

	return parse(t, text)
}

// fenced returns the one block of YAML that a page has.
func fenced(t *testing.T, file string) []byte {
	t.Helper()

	text, err := os.ReadFile(file)
	require.NoError(t, err)

	_, after, found := strings.Cut(string(text), "\n```yaml\n")
	require.True(t, found)

	block, _, found := strings.Cut(after, "\n```\n")
	require.True(t, found)

	return []byte(block)
}

func parse(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()

	var objects []*unstructured.Unstructured

	for document := range strings.SplitSeq(string(text), "\n---\n") {
		object := &unstructured.Unstructured{}
		require.NoError(t, utilyaml.Unmarshal([]byte(document), &object.Object))

		objects = append(objects, object)
	}

	return objects
}

func only(objects []*unstructured.Unstructured, kinds ...string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured

	for _, object := range objects {
		for _, kind := range kinds {
			if object.GetKind() == kind {
				found = append(found, object)
			}
		}
	}

	return found
}

func dryRun() metav1.ApplyOptions { return metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}} }

// apply applies objects on the side of the server, which refuses fields that it
// does not know.
func apply(t *testing.T, cluster *lab.Lab, client dynamic.Interface, options metav1.ApplyOptions, objects []*unstructured.Unstructured) {
	t.Helper()

	options.FieldManager = "lab"

	groups, err := restmapper.GetAPIGroupResources(cluster.Client().Discovery())
	require.NoError(t, err)

	mapper := restmapper.NewDiscoveryRESTMapper(groups)

	for _, object := range objects {
		name := object.GetKind() + " " + object.GetName()

		mapping, err := mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		require.NoError(t, err, name)

		access := dynamic.ResourceInterface(client.Resource(mapping.Resource))

		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			require.NotEmpty(t, object.GetNamespace(), name)
			access = client.Resource(mapping.Resource).Namespace(object.GetNamespace())
		}

		_, err = access.Apply(t.Context(), object.GetName(), object, options)
		require.NoError(t, err, name)
	}
}

// template returns a pod of the Deployment.
func template(t *testing.T, object *unstructured.Unstructured) *corev1.Pod {
	t.Helper()

	var deployment appsv1.Deployment

	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &deployment, true))
	require.Equal(t, deployment.Spec.Selector.MatchLabels, deployment.Spec.Template.Labels)

	pod := &corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
	pod.Name, pod.Namespace = deployment.Name, deployment.Namespace

	return pod
}

// installTalosCRD installs what Talos has for its ServiceAccounts.
func installTalosCRD(t *testing.T, client dynamic.Interface) {
	t.Helper()

	crd := read(t, filepath.Join("testdata", "talos-service-accounts.yaml"))[0]

	_, err := client.Resource(crds).Apply(t.Context(), crd.GetName(), crd, metav1.ApplyOptions{FieldManager: "lab"})
	require.NoError(t, err)
	awaitEstablished(t, client, crd.GetName())
}
