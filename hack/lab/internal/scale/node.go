// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// registration is the time between a kubelet that has registered and one that
// passes Talos' health check, as it was recorded.
const registration = 2 * time.Second

// node is one node of many.
type node struct {
	name     string
	identity *rest.Config
	meter    *meter
	log      func(string, error)
	wanted   int
	// bootIDPath is the file with the id of the present boot.
	bootIDPath string

	bootID  string
	booted  time.Time
	kubelet *kubelet
	end     func()
}

func newNode(cluster *lab.Lab, name, folder string, wanted int, meter *meter, log func(string, error)) (*node, error) {
	identity, err := cluster.NodeIdentity(name)
	if err != nil {
		return nil, err
	}

	return &node{
		name: name, identity: identity, meter: meter, log: log, wanted: wanted, bootIDPath: filepath.Join(folder, name+".boot-id"),
		end: func() {},
	}, nil
}

// connect returns a client with the node's identity and a connection of its own,
// and what closes that.
func (n *node) connect(agent string) (*kubernetes.Clientset, func(), error) {
	config := n.config(agent)
	config.UserAgent = agent
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	// Clients with the same certificate share a connection, unless it is dialled in
	// a way of its own.
	config.Dial = (&net.Dialer{}).DialContext

	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to use the identity of node %q: %w", n.name, err)
	}

	clients, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to use the identity of node %q: %w", n.name, err)
	}

	return clients, func() { utilnet.CloseIdleConnectionsFor(client.Transport) }, nil
}

// config returns the node's identity, whose requests count as those of the client.
func (n *node) config(client string) *rest.Config {
	config := rest.CopyConfig(n.identity)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return n.meter.of(client, next) })

	return config
}

// boot starts the kubelet in a new boot, which shuts down again at once if it is
// leaving.
func (n *node) boot(ctx context.Context, leaving bool) error {
	n.bootID, n.booted = uuid.NewString(), time.Now()

	if err := os.WriteFile(n.bootIDPath, []byte(n.bootID+"\n"), 0o600); err != nil {
		return fmt.Errorf("failed to write boot id of node %q: %w", n.name, err)
	}

	client, closeClient, err := n.connect(kubeletAgent)
	if err != nil {
		return err
	}

	n.kubelet = newKubelet(n.name, n.bootID, client, n.wanted, n.log)
	n.kubelet.leaving = leaving

	ctx, cancel := context.WithCancel(ctx)

	var work sync.WaitGroup

	work.Go(func() {
		if err := n.kubelet.run(ctx); err != nil && ctx.Err() == nil {
			n.log("a kubelet ended", err)
		}
	})

	n.end = func() {
		cancel()
		work.Wait()
		closeClient()
	}

	return nil
}

// down ends the kubelet, as a machine does that is off.
func (n *node) down() {
	n.end()
	n.end = func() {}
}
