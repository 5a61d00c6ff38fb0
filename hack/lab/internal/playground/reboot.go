// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// RebootOptions say which node is to be rebooted, and how.
type RebootOptions struct {
	// Node is the node's name.
	Node string
	// Hard reboots it as a power failure does.
	Hard bool
	// Out is the folder of the lab.
	Out string
}

// Reboot asks the lab that is up to reboot a node, and tells what happens until
// the kubelet is healthy again. When ctx is done it returns; the reboot goes on.
func Reboot(ctx context.Context, options RebootOptions, w io.Writer) error {
	folder, err := filepath.Abs(options.Out)
	if err != nil {
		return fmt.Errorf("failed to find folder %q: %w", options.Out, err)
	}

	found, err := findLab(folder)
	if err != nil {
		return err
	}

	err = order(ctx, found.Socket, options, w)

	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; node %q goes on rebooting", options.Node)
	}

	return err
}

// order sends the order and tells what comes of it.
func order(ctx context.Context, socket string, options RebootOptions, w io.Writer) error {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	defer transport.CloseIdleConnections()

	target := "http://lab" + strings.ReplaceAll(rebootPath, "{node}", url.PathEscape(options.Node))
	if options.Hard {
		target += "?hard"
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return fmt.Errorf("failed to ask for the reboot of node %q: %w", options.Node, err)
	}

	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("failed to ask for the reboot of node %q: %w", options.Node, err)
	}

	defer response.Body.Close() //nolint:errcheck // nothing is written

	var refusal strings.Builder

	if response.StatusCode != http.StatusOK {
		w = &refusal
	}

	if _, err = io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("failed to follow the reboot of node %q: the lab has ended: %w", options.Node, err)
	}

	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(refusal.String()))
	}

	failed, err := url.QueryUnescape(response.Trailer.Get(errorTrailer))
	if err == nil && failed != "" {
		err = errors.New(failed)
	}

	if err != nil {
		return fmt.Errorf("failed to reboot node %q: %w", options.Node, err)
	}

	return nil
}
