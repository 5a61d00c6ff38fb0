// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the components' clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // build information among the metrics
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// run is the component's main function.
func run(name Name, args []string) error {
	if name == Janitor {
		return clean(args)
	}

	dieWithParent()

	switch name {
	case Etcd:
		etcdmain.Main(append([]string{string(name)}, args...))

		return nil
	case APIServer:
		return execute(apiserver.NewAPIServerCommand(), args)
	case ControllerManager:
		return execute(controllermanager.NewControllerManagerCommand(), args)
	case Scheduler:
		return execute(scheduler.NewSchedulerCommand(), args)
	case Node:
		quietGRPC()

		return machine.Main(args)
	case Janitor:
	}

	return fmt.Errorf("unknown component %q", name)
}

func execute(command *cobra.Command, args []string) error {
	command.SetArgs(args)

	if code := cli.Run(command); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}

	return nil
}
