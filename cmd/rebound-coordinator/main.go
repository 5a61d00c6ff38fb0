// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Command rebound-coordinator decides which nodes of a cluster may reboot, and when.
package main

import (
	"os"

	_ "github.com/go-logr/zapr"
	_ "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/spf13/cobra"
	_ "github.com/stretchr/testify/require"
	_ "go.uber.org/zap"
	_ "golang.org/x/sync/errgroup"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/client-go/kubernetes"
	_ "sigs.k8s.io/controller-runtime"

	_ "github.com/talos-rebound/rebound/internal/talosapi"
	_ "github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func main() {
	command := &cobra.Command{Use: "rebound-coordinator"}
	command.AddCommand(newVersionCommand())

	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}
