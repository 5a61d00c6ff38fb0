// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"go.yaml.in/yaml/v4"

	"github.com/talos-rebound/rebound/internal/talosconfig"
)

// sources are where a talosconfig can be named.
const sources = "--talosconfig or TALOSCONFIG"

// cleanList returns values without spaces and repetitions.
func cleanList(flag string, values []string) ([]string, error) {
	// A flag that was given an empty variable is a mistake, and no reason to ask all nodes.
	if values != nil && len(values) == 0 {
		return nil, fmt.Errorf("%s is empty; name some, or leave it out", flag)
	}

	var clean []string

	for _, value := range values {
		value = strings.TrimSpace(value)

		switch {
		case value == "":
			return nil, fmt.Errorf("%s has an empty item: %q", flag, strings.Join(values, ","))
		case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("%s: %q is neither an address nor a host name", flag, value)
		case !slices.Contains(clean, value):
			clean = append(clean, value)
		}
	}

	return clean, nil
}

// Contexts are the names of the contexts in the client configuration, sorted.
func (access Access) Contexts() ([]string, error) {
	config, _, err := access.load()
	if err != nil {
		return nil, err
	}

	return slices.Sorted(maps.Keys(config.Contexts)), nil
}

// load reads the client configuration and returns it with its path. Unlike talosctl, it does not create one that is
// missing.
func (access Access) load() (*clientconfig.Config, string, error) {
	path, err := access.path()
	if err != nil {
		return nil, "", err
	}

	content, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("failed to read talosconfig: %w; name another with "+sources, err)
	}

	var config clientconfig.Config

	if err = yaml.Unmarshal(content, &config); err != nil {
		// What the parser says may take several lines.
		words := strings.Join(strings.Fields(err.Error()), " ")

		return nil, "", fmt.Errorf("failed to read talosconfig %q: it is not a talosconfig: %s; name another with "+sources, path, words)
	}

	return &config, path, nil
}

func (access Access) path() (string, error) {
	if access.Talosconfig != "" {
		return access.Talosconfig, nil
	}

	paths, err := clientconfig.GetDefaultPaths()
	if err != nil {
		return "", fmt.Errorf("failed to find a talosconfig: %w; name one with "+sources, err)
	}

	var missing []string

	for _, path := range paths {
		if path.Path == "" {
			continue // TALOSCONFIG is set to nothing, which is as good as not set
		}

		if _, err = os.Stat(path.Path); !errors.Is(err, fs.ErrNotExist) {
			return path.Path, nil
		}

		missing = append(missing, path.Path)
	}

	return "", fmt.Errorf("failed to find a talosconfig: there is none at %s; name one with "+sources, strings.Join(missing, ", "))
}

// choose makes the context to use the current one, and returns it with the endpoints of access if there are any.
func (access Access) choose(config *clientconfig.Config, path string, now time.Time) (*clientconfig.Context, error) {
	if len(config.Contexts) == 0 {
		return nil, fmt.Errorf("talosconfig %q has no contexts; add one with 'talosctl config merge'", path)
	}

	config.Context = cmp.Or(access.Context, config.Context)
	context, ok := config.Contexts[config.Context]

	switch {
	case config.Context == "":
		return nil, fmt.Errorf("talosconfig %q has no current context; choose one with --context: %s", path, names(config))
	case !ok:
		return nil, fmt.Errorf("context %q is not in talosconfig %q, which has %s; choose one with --context", config.Context, path, names(config))
	case context == nil:
		return nil, fmt.Errorf("context %q of talosconfig %q is empty; choose another with --context", config.Context, path)
	case len(access.Endpoints) > 0:
		context.Endpoints = access.Endpoints
	default:
		// Old files have a target in place of endpoints.
		context.Endpoints = slices.DeleteFunc(append(context.Endpoints, context.DeprecatedTarget),
			func(endpoint string) bool { return endpoint == "" })
	}

	if len(context.Endpoints) == 0 {
		return nil, fmt.Errorf("context %q of talosconfig %q has no endpoints; name one with --endpoints", config.Context, path)
	}

	if err := talosconfig.CheckCertificate(context, now); err != nil {
		return nil, unusable(config.Context, path, err)
	}

	return context, nil
}

// unusable says which context has credentials that cannot be used, and how to get others.
func unusable(context, path string, err error) error {
	return fmt.Errorf("context %q of talosconfig %q: %w; make a new talosconfig with 'talosctl config new', or from a control plane's machine configuration",
		context, path, err)
}

// names are the names of the contexts, as they are shown.
func names(config *clientconfig.Config) string {
	text := fmt.Sprintf("%q", slices.Sorted(maps.Keys(config.Contexts)))

	return strings.ReplaceAll(strings.Trim(text, "[]"), `" "`, `", "`)
}
