// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Account is the identity of kured.
var Account = lab.ServiceAccount{Namespace: metav1.NamespaceSystem, Name: Name}

const (
	// Name is that of everything of kured's in the cluster: by default it looks for
	// a DaemonSet of this name, an annotation on which is its lock.
	Name = "kured"

	// tokenLifetime is longer than any run.
	tokenLifetime = 24 * time.Hour
)

// account is the identity that all processes of kured share, as its pods do.
type account struct {
	// folder has what a pod has of its service account.
	folder string
	// host and port are those of the API server.
	host, port string
}

// newAccount makes the account in the cluster, with the rights that kured's own
// manifest gives it, and the DaemonSet that is its lock. No pod of that runs
// anywhere: a node's kured is a process beside the node.
func newAccount(ctx context.Context, cluster *lab.Lab) (account, error) {
	lock := lab.DaemonSet(metav1.NamespaceSystem, Name, lab.NodeSelector(map[string]string{Name: "nowhere"}))

	if _, err := cluster.ApplyDaemonSet(ctx, lock); err != nil {
		return account{}, err
	}

	if err := grant(ctx, cluster.Client()); err != nil {
		return account{}, err
	}

	token, err := cluster.Client().CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(ctx, Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLifetime.Seconds()))},
	}, metav1.CreateOptions{})
	if err != nil {
		return account{}, fmt.Errorf("failed to get a token for %q: %w", Name, err)
	}

	return writeAccount(filepath.Join(cluster.Folder(), Name), cluster.Config(), token.Status.Token)
}

// grant creates the service account and binds its rights to it.
func grant(ctx context.Context, client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: Name}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: meta.Namespace, Name: Name}}
	rbac := client.RbacV1()

	for kind, create := range map[string]func() error{
		"ServiceAccount": func() error {
			_, err := client.CoreV1().ServiceAccounts(meta.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})

			return err
		},
		"ClusterRole": func() error {
			_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: Name}, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "patch"}},
				{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "delete"}},
				{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
				{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"get"}},
			}}, metav1.CreateOptions{})

			return err
		},
		"ClusterRoleBinding": func() error {
			_, err := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: Name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: Name},
			}, metav1.CreateOptions{})

			return err
		},
		"Role": func() error {
			_, err := rbac.Roles(meta.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, ResourceNames: []string{Name}, Verbs: []string{"update"}},
			}}, metav1.CreateOptions{})

			return err
		},
		"RoleBinding": func() error {
			_, err := rbac.RoleBindings(meta.Namespace).Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: meta, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: Name},
			}, metav1.CreateOptions{})

			return err
		},
	} {
		if err := create(); err != nil {
			return fmt.Errorf("failed to create %s %q: %w", kind, Name, err)
		}
	}

	return nil
}

// writeAccount writes the files that a pod has of its service account.
func writeAccount(folder string, server *rest.Config, token string) (account, error) {
	address, err := url.Parse(server.Host)
	if err != nil {
		return account{}, fmt.Errorf("failed to parse address of the API server: %w", err)
	}

	if err = os.MkdirAll(folder, 0o700); err != nil {
		return account{}, fmt.Errorf("failed to create folder of %q: %w", Name, err)
	}

	for name, content := range map[string][]byte{
		corev1.ServiceAccountTokenKey:     []byte(token),
		corev1.ServiceAccountRootCAKey:    server.CAData,
		corev1.ServiceAccountNamespaceKey: []byte(metav1.NamespaceSystem),
	} {
		if err = os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return account{}, fmt.Errorf("failed to write %q of %q: %w", name, Name, err)
		}
	}

	return account{folder: folder, host: address.Hostname(), port: address.Port()}, nil
}
