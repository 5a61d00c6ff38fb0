// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package nodemeta watches and annotates this node's Node object with the identity of the node, by its metadata alone: the
// status, which is most of a Node and changes with every heartbeat, never travels. It does not know what the annotations
// mean.
//
// It is apart from package kube because machined links that, and does not need the client that this one is made of.
package nodemeta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/kube"
)

const (
	// requestTimeout bounds every request but the watch.
	requestTimeout = 15 * time.Second
	// watchTime is the least time for which a watch is asked for, and the most that is added to it so that nodes do not come
	// together: then the Node is read anew, whatever became of the watch.
	watchTime = 5 * time.Minute
	// watchSlack is how much longer a watch may last that the server does not end.
	watchSlack = 30 * time.Second
)

// Client is a connection to the API server with this node's identity. The certificates are read once, when it is opened.
type Client struct {
	nodes                 metadata.ResourceInterface
	transport             *http.Transport
	watchTime, watchSlack time.Duration
}

// Open makes a client of a configuration, which it takes over. It sends no request.
func Open(config *rest.Config) (*Client, error) {
	client, transport, err := kube.HTTPClient(config)
	if err != nil {
		return nil, err
	}

	objects, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}

	return &Client{
		nodes: objects.Resource(corev1.SchemeGroupVersion.WithResource("nodes")), transport: transport,
		watchTime: watchTime, watchSlack: watchSlack,
	}, nil
}

// WatchNode reads the Node, calls changed with it, and calls it again after every change; with nil while there is no such
// Node. It does so from the goroutine that called it.
//
// It returns nil when ctx ends or when the watch has lasted its time, which is minutes, and the reason when a request
// fails or the watch breaks. It does not retry: the identity may have to be read anew.
func (c *Client) WatchNode(ctx context.Context, name string, changed func(*metav1.PartialObjectMetadata)) error {
	err := c.watchNode(ctx, name, changed)
	if err == nil || ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for
	}

	return fmt.Errorf("failed to watch node %q: %w", name, err)
}

func (c *Client) watchNode(ctx context.Context, name string, changed func(*metav1.PartialObjectMetadata)) error {
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()

	list, err := c.list(ctx, selector)
	if err != nil {
		return err
	}

	var node *metav1.PartialObjectMetadata
	if len(list.Items) > 0 {
		node = &list.Items[0]
	}

	changed(node)

	lasts := c.watchTime + rand.N(c.watchTime)

	ctx, cancel := context.WithTimeout(ctx, lasts+c.watchSlack)
	defer cancel()

	watcher, err := c.nodes.Watch(ctx, metav1.ListOptions{
		FieldSelector: selector, ResourceVersion: list.ResourceVersion, TimeoutSeconds: new(int64(lasts.Seconds())),
	})
	if err != nil {
		return err
	}

	defer watcher.Stop()

	began := time.Now()

	for event := range watcher.ResultChan() {
		switch event.Type {
		case watch.Added, watch.Modified:
			if node, ok := event.Object.(*metav1.PartialObjectMetadata); ok {
				changed(node)
			}
		case watch.Deleted:
			changed(nil)
		case watch.Error:
			return apierrors.FromObject(event.Object)
		case watch.Bookmark:
		}
	}

	// A server ends a watch by closing it, as does whoever cuts it off.
	if ctx.Err() == nil && time.Since(began) < lasts-c.watchSlack {
		return errors.New("the connection was closed")
	}

	return nil
}

func (c *Client) list(ctx context.Context, selector string) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	return c.nodes.List(ctx, metav1.ListOptions{FieldSelector: selector})
}

// AnnotateNode sets an annotation of the Node, and returns the Node as it is then. It may be repeated. The request is one to
// the status of the Node, which is what the kubelet does to its own.
func (c *Client) AnnotateNode(ctx context.Context, name, annotation, value string) (*metav1.PartialObjectMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotation: value}}})
	if err != nil {
		return nil, fmt.Errorf("failed to encode annotation %q: %w", annotation, err)
	}

	node, err := c.nodes.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return nil, fmt.Errorf("failed to annotate node %q: %w", name, err)
	}

	return node, nil
}

// Close closes the connections that no request is using. A watch ends with its own context.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
