// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
)

// command is what the command line of a kubelet says.
type command struct {
	config

	configFile, kubeconfig, bootIDFile string
	devices                            map[string]string
}

// NewCommand returns the kubelet as a command. Its flags have the names of the
// kubelet's own where there are such. It runs until its process ends.
func NewCommand() *cobra.Command {
	var c command

	cmd := &cobra.Command{
		Use:           "kubelet",
		Short:         "The kubelet's own code, without a machine under it",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}

	flags := cmd.Flags()
	flags.StringVar(&c.configFile, "config", "", "file with the KubeletConfiguration")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "file with the kubelet's kubeconfig")
	flags.StringVar(&c.root, "root-dir", "", "the kubelet's folder")
	flags.StringVar(&c.nodeName, "hostname-override", "", "name of the Node")
	flags.StringVar(&c.nodeAddress, "node-ip", "", "address of the Node, which may be one of loopback")
	flags.StringToStringVar(&c.labels, "node-labels", nil, "labels of the Node")
	flags.StringVar(&c.bootIDFile, "boot-id-file", "", "file with the id of the current boot")
	flags.StringToStringVar(&c.devices, "device", nil, "extended resources, each with the time from which on it can be allocated")

	klogFlags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(klogFlags)
	flags.AddGoFlag(klogFlags.Lookup("v"))

	return cmd
}

func (c *command) run(ctx context.Context) error {
	client, err := c.load(ctx)
	if err != nil {
		return err
	}

	if err = start(ctx, c.config, client); err != nil {
		return err
	}

	<-ctx.Done()

	return nil
}

// load reads what the flags name.
func (c *command) load(ctx context.Context) (*rest.Config, error) {
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, c.configFile)
	if err != nil {
		return nil, fmt.Errorf("failed to find configuration: %w", err)
	}

	if c.settings, err = loader.Load(ctx); err != nil {
		return nil, fmt.Errorf("failed to load configuration: %w", err)
	}

	bootID, err := os.ReadFile(c.bootIDFile)
	if err != nil {
		return nil, fmt.Errorf("failed to read boot id: %w", err)
	}

	c.bootID = strings.TrimSpace(string(bootID))
	c.config.devices = map[string]time.Time{}

	for name, at := range c.devices {
		if c.config.devices[name], err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, fmt.Errorf("failed to parse time of device %q: %w", name, err)
		}
	}

	client, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("failed to load kubeconfig: %w", err)
	}

	client.UserAgent = "kubelet"
	client.ContentType = "application/vnd.kubernetes.protobuf"

	return client, nil
}
