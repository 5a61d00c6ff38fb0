// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// identityRows are about who rebound is to the API server, and how it knows.
func identityRows() []Row {
	return []Row{
		spoiled("the certificate has expired", "a certificate of the past", `failed to read node "NODE": Unauthorized`,
			func(node *Node) error { return node.WriteReboundKubeconfig(lab.Credential{Lifetime: -time.Second}) }),
		spoiled("the certificate is revoked", "its authority is none that the API server trusts any more", `failed to read node "NODE": Unauthorized`,
			func(node *Node) error { return node.WriteReboundKubeconfig(lab.Credential{Stranger: true}) }),
		spoiled("the kubeconfig has the wrong CA", "the API server's certificate is not signed by it", "x509: certificate signed by unknown authority",
			func(node *Node) error { return node.WriteReboundKubeconfig(lab.Credential{Distrusts: true}) }),
		spoiled("the kubeconfig is half-written", "the file ends in the middle", "failed to load kubeconfig",
			func(node *Node) error {
				content := must1(os.ReadFile(node.ReboundKubeconfig()))

				return os.WriteFile(node.ReboundKubeconfig(), content[:len(content)/2], 0o600)
			}),
		spoiled("the kubeconfig is no kubeconfig", "the file has other words in it", "failed to load kubeconfig",
			func(node *Node) error {
				return os.WriteFile(node.ReboundKubeconfig(), []byte("{not a kubeconfig"), 0o600)
			}),
		spoiled("the kubeconfig is gone", "the file is removed", "failed to load kubeconfig",
			func(node *Node) error { return os.Remove(node.ReboundKubeconfig()) }),
		rewritten(), rotated(), rotatedMeanwhile(), deletedNode(), deletedMeanwhile(), renamedNode(),
	}
}

// rewritten is a kubeconfig that changes in the middle of a recovery.
func rewritten() Row {
	return Row{
		Name: "the kubeconfig is rewritten", Fault: "another certificate of the same node", When: "while a finalizer holds the pod", Lasts: "to the end",
		End: oneBack, Requests: 20,
		Play: func(s *Stage) (string, error) {
			node, letGo := s.heldOnce(lab.WithOwnKubeconfig())
			before := len(node.Requests())
			must(node.WriteReboundKubeconfig(lab.Credential{}))
			s.Await("rebound connects again", func() bool { return len(node.Requests()) > before })
			letGo()

			return node.End(), nil
		},
	}
}

// rotated is a certificate that changes while the node is down.
func rotated() Row {
	return Row{
		Name: "the certificate is rotated before the node boots", Fault: "the kubelet's certificate is another one", When: "before the first list", Lasts: "to the end",
		End: oneBack, Requests: 10,
		Play: func(s *Stage) (string, error) {
			node := s.fail(s.Rebound())
			must(node.RotateCertificate(time.Hour))
			must(node.Boot(s.ctx))

			return node.End(), nil
		},
	}
}

// rotatedMeanwhile is a certificate that expires in the middle of a recovery, after
// the kubelet has put another one into its file. The kubeconfig, which names that
// file, stays as it is: nothing but the broken connection says so.
func rotatedMeanwhile() Row {
	// Long enough for a boot on a slow machine.
	const lifetime = 90 * time.Second

	return Row{
		Name:  "the certificate is rotated in the middle of a recovery",
		Fault: "the kubelet's file has another certificate, then the old one expires and connections break", When: "while a finalizer holds the pod", Lasts: "to the end",
		End: oneBack, Requests: 30,
		Play: func(s *Stage) (string, error) {
			node := s.fail(s.Rebound(), lab.WithProxy())
			letGo := s.Hold(s.awaitPod(""))

			must(node.RotateCertificate(lifetime))

			expired := time.Now().Add(lifetime + time.Second)

			must(node.Boot(s.ctx))
			node.AwaitPhase(specs.PhaseDegraded)
			must(node.RotateCertificate(time.Hour))
			s.Pass(time.Until(expired))
			node.Proxy().Cut()
			node.Proxy().Restore()
			letGo()

			return node.End(), nil
		},
	}
}

// spoiled is a row in which rebound's kubeconfig is spoiled in the middle of a
// recovery, and good again later.
func spoiled(name, fault, message string, spoil func(*Node) error) Row {
	place := Beside
	if strings.Contains(message, "Unauthorized") {
		// The audit log does not have whose requests those were.
		place = InTurn
	}

	return Row{
		Name: name, Fault: fault, When: "while a finalizer holds the pod", Lasts: "until rebound has said so",
		Phase: "waiting", Message: message, End: oneBack, Requests: 60, Place: place,
		Quick: name == "the certificate has expired",
		Play: func(s *Stage) (string, error) {
			node, letGo := s.heldOnce(lab.WithOwnKubeconfig())
			must(spoil(node))
			node.AwaitFault()
			must(node.WriteReboundKubeconfig(lab.Credential{}))
			letGo()

			return node.End(), nil
		},
	}
}

// deletedNode is a Node object that is gone for a while.
func deletedNode() Row {
	return Row{
		Name: "the Node is deleted and registers again", Fault: "the Node object is deleted", When: "before the node boots", Lasts: "until the kubelet registers",
		End: "recovered (no Failed DaemonSet pods), pods deleted: 0, and all pods are Ready", Requests: 20,
		Play: func(s *Stage) (string, error) {
			node := s.fail(s.Rebound())

			// With their Node the pods go as well, and are created anew with it.
			must(s.Lab.Client().CoreV1().Nodes().Delete(s.ctx, node.Name(), metav1.DeleteOptions{}))
			must(s.Lab.Client().CoreV1().Pods(s.Name).DeleteCollection(s.ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{}))
			must(node.Start(s.ctx))

			return node.End(), nil
		},
	}
}

// deletedMeanwhile is a Node object that goes in the middle of a recovery. Its
// kubelet registers once in a boot.
func deletedMeanwhile() Row {
	return Row{
		Name: "the Node is deleted in the middle of a recovery", Fault: "the Node object is deleted", When: "between list and delete", Lasts: "until the node is rebooted",
		Phase: "recovering", Message: "proxy: waiting for the replacement of proxy-POD",
		End: "recovered (no Failed DaemonSet pods), pods deleted: 1, and all pods are Ready", Requests: 30,
		Play: func(s *Stage) (string, error) {
			at := beforeDelete(s)

			must(s.Lab.Client().CoreV1().Nodes().Delete(s.ctx, at.node.Name(), metav1.DeleteOptions{}))
			at.resume()
			at.node.AwaitFault()
			must(at.node.HardReboot(s.ctx))

			return at.node.End(), nil
		},
	}
}

// renamedNode is a node that is another one from now on. What it left behind
// under its old name is not its own any more.
func renamedNode() Row {
	return Row{
		Name: "the node is renamed", Fault: "it registers under another name", When: "before the node boots", Lasts: "for ever",
		End: "recovered (no Failed DaemonSet pods), pods deleted: 0, and all pods are Ready; the Failed pod of the old name is left alone", Requests: 20,
		Play: func(s *Stage) (string, error) {
			node := s.fail(s.Rebound())
			left := s.awaitPod("")
			must(s.Lab.RenameNode(s.ctx, node.Node, s.Name+"-renamed"))
			must(node.Start(s.ctx))

			end := node.End()
			after := s.awaitPod(left.Name)
			s.Check(after.UID == left.UID && after.Status.Phase == corev1.PodFailed, "the pod of the old name is %s", after.Status.Phase)

			return end + "; the Failed pod of the old name is left alone", nil
		},
	}
}
