// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// TestScripts runs testdata/script. Besides the commands of testscript there are
//
//	cluster                     start a cluster without nodes, and write a talosconfig for each kind of client
//	node NAME STATE [MESSAGE]   add a node: a phase of the recovery, or booted, stock, down, hanging
//	member NAME [ADDRESS]       make a node a member of the cluster
//	no-discovery                let the cluster say that it names no members
//	kubernetes                  start a Kubernetes API without Nodes, and put the path of its kubeconfig into KUBE
//	object NAME STATE [MESSAGE] add a Node: a phase of the recovery, or stale, stock, down
//	reboots                     let the Kubernetes API know the objects of coordinated reboots
//	apply FILE                  add or change a Node, a NodeReboot or a RebootBudget, with its status, from YAML
//	workload FILE               add or change a Pod, a DaemonSet, a Lease or an Event from YAML, in which AGO(90s) is a time
//	gone RESOURCE NAME          check that there is no such object in kube-system
//	refuse CODE                 answer every list, and every patch of an object with a namespace, with this code
//	reboot NAME                 print the labels and the spec of a NodeReboot as one line of JSON, or that there is none
//	agent NAME                  put the path of a node's own socket into SOCKET, as if that were the agent of this machine
//	listen HTTP|DEAF            start a web server, or a server that never answers, and put its address into that variable
//	exits CODE COMMAND...       run a command that has to end with this exit code
func TestScripts(t *testing.T) {
	t.Parallel()

	const key, apiKey = "cluster", "kubernetes"

	cluster := func(ts *testscript.TestScript) **ctest.Cluster { return ts.Value(key).(**ctest.Cluster) }
	api := func(ts *testscript.TestScript) **ctest.Kubernetes { return ts.Value(apiKey).(**ctest.Kubernetes) }

	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[key], env.Values[apiKey] = new(*ctest.Cluster), new(*ctest.Kubernetes)

			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"cluster": func(ts *testscript.TestScript, _ bool, _ []string) {
				*cluster(ts) = ctest.NewCluster(t)

				writeTalosconfigs(t, *cluster(ts), ts.Getenv("WORK"))
				ts.Setenv("TALOSCONFIG", ts.MkAbs("talosconfig"))
				ts.Setenv("ENDPOINT", (*cluster(ts)).Endpoint())
			},
			"node": func(ts *testscript.TestScript, _ bool, args []string) {
				addNode(t, *cluster(ts), args[0], args[1], strings.Join(args[2:], " "))
			},
			"member": func(ts *testscript.TestScript, _ bool, args []string) {
				addresses := make([]netip.Addr, 0, len(args))

				for _, address := range args[1:] {
					addresses = append(addresses, netip.MustParseAddr(address))
				}

				(*cluster(ts)).AddMember(t, args[0], addresses...)
			},
			"no-discovery": func(ts *testscript.TestScript, _ bool, _ []string) {
				(*cluster(ts)).DisableDiscovery(t)
			},
			"kubernetes": func(ts *testscript.TestScript, _ bool, _ []string) {
				*api(ts) = ctest.NewKubernetes(t)
				ts.Setenv("KUBE", (*api(ts)).Kubeconfig(t))
			},
			"object": func(ts *testscript.TestScript, _ bool, args []string) {
				(*api(ts)).Set(newObject(t, args[0], args[1], strings.Join(args[2:], " ")))
			},
			"reboots": func(ts *testscript.TestScript, _ bool, _ []string) { (*api(ts)).InstallReboots() },
			"apply": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(apply(*api(ts), []byte(ts.ReadFile(args[0]))))
			},
			"workload": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(applyWorkload(*api(ts), ts.ReadFile(args[0])))
			},
			"gone": func(ts *testscript.TestScript, neg bool, args []string) {
				if there := (*api(ts)).Workload(args[0], metav1.NamespaceSystem, args[1]) != nil; there != neg {
					ts.Fatalf("%s %s is there: %t", args[0], args[1], there)
				}
			},
			"refuse": func(ts *testscript.TestScript, _ bool, args []string) {
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				(*api(ts)).Refuse(code)
			},
			"reboot": func(ts *testscript.TestScript, _ bool, args []string) {
				fmt.Fprintln(ts.Stdout(), describeReboot((*api(ts)).Reboot(args[0])))
			},
			"agent": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv("SOCKET", strings.TrimPrefix((*cluster(ts)).Node(args[0]).Target(), "unix://"))
			},
			"listen": listen,
			"exits":  exits,
		},
	})
}

// writeTalosconfigs writes one talosconfig with a context for each kind of client. The role of the current one is
// os:reader.
func writeTalosconfigs(t *testing.T, cluster *ctest.Cluster, folder string) {
	t.Helper()

	stranger, err := talosapi.NewAuthority()
	require.NoError(t, err)

	config := &clientconfig.Config{Context: "reader", Contexts: map[string]*clientconfig.Context{}}
	reader := talosapi.ClientConfig{Endpoints: []string{cluster.Endpoint()}, Roles: role.MakeSet(role.Reader)}

	for name, change := range map[string]func(*talosapi.ClientConfig){
		"reader":      func(*talosapi.ClientConfig) {},
		"admin":       func(client *talosapi.ClientConfig) { client.Roles = role.MakeSet(role.Admin) },
		"nobody":      func(client *talosapi.ClientConfig) { client.Roles = role.MakeSet(role.EtcdBackup) },
		"expired":     func(client *talosapi.ClientConfig) { client.NotBefore = time.Now().Add(-48 * time.Hour) },
		"future":      func(client *talosapi.ClientConfig) { client.NotBefore = time.Now().Add(48 * time.Hour) },
		"with-nodes":  func(client *talosapi.ClientConfig) { client.Nodes = []string{"worker-a"} },
		"away":        func(client *talosapi.ClientConfig) { client.Endpoints = []string{"127.0.0.1:1"} },
		"no-endpoint": func(client *talosapi.ClientConfig) { client.Endpoints = nil },
		"anonymous":   func(*talosapi.ClientConfig) {},
	} {
		options := reader
		change(&options)

		one, err := cluster.Authority.Config(name, options)
		require.NoError(t, err)

		maps.Copy(config.Contexts, one.Contexts)
	}

	config.Contexts["anonymous"].Crt, config.Contexts["anonymous"].Key = "", ""

	// Both have a certificate of another cluster. The second trusts the endpoint all the same.
	for _, name := range []string{"foreign", "stranger"} {
		one, err := stranger.Config(name, reader)
		require.NoError(t, err)

		maps.Copy(config.Contexts, one.Contexts)
	}

	config.Contexts["stranger"].CA = config.Contexts["reader"].CA

	require.NoError(t, config.Save(filepath.Join(folder, "talosconfig")))
}

func addNode(t *testing.T, cluster *ctest.Cluster, name, state, message string) {
	t.Helper()

	if state == "stock" {
		cluster.AddStockNode(t, name)

		return
	}

	node := cluster.AddNode(t, name)

	switch state {
	case "booted":
	case "down":
		node.Stop()
	case "hanging":
		node.Hang(t)
	default:
		phase, err := specs.PhaseString(state)
		require.NoError(t, err)

		node.Say(t, recovery.RecoveryStatusSpec{NodeName: name, Phase: phase, Message: message})
	}
}

// newObject makes a Node that carries a report, but for a stock one.
func newObject(t *testing.T, name, state, message string) *corev1.Node {
	t.Helper()

	const bootID = "0b9e7b5c-5f0e-4d8b-9a6e-3f1d2c4b5a69"

	node := ctest.KubernetesNode(name, bootID)
	report := specs.NodeReport{Host: specs.HostAgent, BootID: bootID, Phase: specs.PhaseRecovered, Message: message}

	switch state {
	case "stock":
		return node
	case "stale":
		report.BootID = "7c1d8f4a-2a63-4b1f-8d0c-9e8f7a6b5c4d"
	case "down":
		node.Status.Conditions[0].Status = corev1.ConditionUnknown
		node.Status.Conditions[0].Message = "Kubelet stopped posting node status."
	default:
		var err error

		report.Phase, err = specs.PhaseString(state)
		require.NoError(t, err)
	}

	return ctest.Report(node, report)
}

// apply adds or changes an object.
func apply(api *ctest.Kubernetes, text []byte) error {
	var (
		kind   metav1.TypeMeta
		node   corev1.Node
		reboot v1alpha1.NodeReboot
		budget v1alpha1.RebootBudget
	)

	if err := yaml.Unmarshal(text, &kind); err != nil {
		return err
	}

	switch kind.Kind {
	case "Node":
		if err := yaml.UnmarshalStrict(text, &node); err != nil {
			return err
		}

		api.Set(&node)
	case "NodeReboot":
		if err := yaml.UnmarshalStrict(text, &reboot); err != nil {
			return err
		}

		api.SetReboot(&reboot)
	case "RebootBudget":
		if err := yaml.UnmarshalStrict(text, &budget); err != nil {
			return err
		}

		api.SetBudget(&budget)
	default:
		return fmt.Errorf("there is no %q here", kind.Kind)
	}

	return nil
}

// ago is a time before now in the YAML of a script.
var ago = regexp.MustCompile(`AGO\(([0-9a-z]+)\)`)

// applyWorkload adds or changes an object with a namespace.
func applyWorkload(api *ctest.Kubernetes, text string) error {
	text = ago.ReplaceAllStringFunc(text, func(token string) string {
		before, err := time.ParseDuration(ago.FindStringSubmatch(token)[1])
		if err != nil {
			return err.Error() // the decoder will not like it
		}

		return time.Now().Add(-before).UTC().Format("2006-01-02T15:04:05.000000Z")
	})

	object := new(unstructured.Unstructured)
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		return err
	}

	return api.SetWorkload(object)
}

func describeReboot(reboot *v1alpha1.NodeReboot) string {
	if reboot == nil {
		return "none"
	}

	text, err := json.Marshal(map[string]any{"labels": reboot.Labels, "spec": reboot.Spec})
	if err != nil {
		return err.Error()
	}

	return string(text)
}

func listen(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)

	end := listener.Close

	if args[0] == "HTTP" {
		server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
		end = server.Close

		go server.Serve(listener) //nolint:errcheck // it ends with the script
	}

	ts.Setenv(args[0], listener.Addr().String())
	ts.Defer(func() { ts.Check(end()) })
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)

	var exit *exec.ExitError

	code := 0

	if err = ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}

	if code != want {
		ts.Fatalf("%s ended with exit code %d, not %d", strings.Join(args[1:], " "), code, want)
	}
}

// TestMain puts this binary into PATH as rebound, for the scripts and for the tests that start it themselves.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"rebound": main}) }
