// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests below show each guard what it must refuse, next to what it must let pass.

func TestImportDirectionCanFail(t *testing.T) {
	t.Parallel()

	const module = `"github.com/talos-rebound/rebound/`

	for _, test := range []struct {
		name     string
		tree     map[string]string
		expected []string
	}{
		{
			name: "all arrows may be followed, over several steps too",
			tree: map[string]string{
				"cmd/rebound/main.go":              `package main; import (_ ` + module + `internal/cli"; _ ` + module + `pkg/check")`,
				"internal/cli/cli.go":              `package cli; import (_ ` + module + `pkg/controllers/recovery"; _ ` + module + `internal/kube")`,
				"internal/recovery/plan.go":        `package recovery; import _ ` + module + `pkg/resources/recovery/specs"`,
				"pkg/resources/recovery/status.go": `package recovery; import _ ` + module + `pkg/resources/recovery/specs"`,
				"hack/lab/main.go":                 `package main; import _ ` + module + `pkg/controllers/recovery"`,
			},
		},
		{
			name: "other people's packages are not our business here",
			tree: map[string]string{
				"pkg/resources/recovery/status.go": `package recovery; import _ "github.com/talos-rebound/rebound-extras/cmd"`,
			},
		},
		{
			name: "tests may import what they like",
			tree: map[string]string{
				"internal/kube/pods_test.go": `package kube_test; import _ ` + module + `internal/ctest"`,
			},
		},
		{
			name: "up",
			tree: map[string]string{
				"internal/kube/pods.go": "package kube\n\nimport _ " + module + `pkg/controllers/recovery"`,
			},
			expected: []string{
				"internal/kube/pods.go:3: internal/kube imports pkg/controllers/recovery, against the arrows: of ours it may " +
					"import only internal/recovery, pkg/resources, pkg/resources/recovery/specs; move what it needs there, or let " +
					"its caller pass it in",
			},
		},
		{
			name: "sideways",
			tree: map[string]string{
				"pkg/check/check.go": "package check\n\nimport _ " + module + `internal/kube"`,
			},
			expected: []string{
				"pkg/check/check.go:3: pkg/check imports internal/kube, against the arrows: of ours it may import only " +
					"internal/recovery, pkg/resources, pkg/resources/recovery/specs; move what it needs there, or let its caller " +
					"pass it in",
			},
		},
		{
			name: "the core sees the specs only",
			tree: map[string]string{
				"internal/recovery/plan.go": `package recovery; import _ ` + module + `pkg/resources/recovery"`,
			},
			expected: []string{
				"internal/recovery/plan.go:1: internal/recovery imports pkg/resources/recovery, against the arrows: of ours it " +
					"may import only pkg/resources/recovery/specs; move what it needs there, or let its caller pass it in",
			},
		},
		{
			name: "the resources see nothing",
			tree: map[string]string{
				"pkg/resources/recovery/specs/phase.go": `package specs; import _ ` + module + `internal/recovery"`,
			},
			expected: []string{
				"pkg/resources/recovery/specs/phase.go:1: pkg/resources/recovery/specs imports internal/recovery, against the " +
					"arrows: of ours it may import nothing; move what it needs there, or let its caller pass it in",
			},
		},
		{
			name: "nothing imports cmd, not even the lab",
			tree: map[string]string{
				"hack/lab/main.go": `package main; import _ ` + module + `cmd/rebound/options"`,
			},
			expected: []string{
				"hack/lab/main.go:1: hack/lab imports cmd/rebound/options, against the arrows: of ours it may import only " +
					"internal/agent, internal/cli, internal/ctest, internal/embed, internal/kube, internal/recovery, internal/talosapi, " +
					"pkg/check, pkg/controllers, pkg/resources, pkg/resources/recovery/specs; move what it needs there, or let its caller pass it in",
			},
		},
		{
			name: "what is shipped does not need what is for tests",
			tree: map[string]string{
				"internal/cli/cli.go": `package cli; import _ ` + module + `internal/ctest"`,
			},
			expected: []string{
				"internal/cli/cli.go:1: internal/cli imports internal/ctest, against the arrows: of ours it may import only " +
					"internal/agent, internal/embed, internal/kube, internal/recovery, pkg/check, pkg/controllers, pkg/resources, " +
					"pkg/resources/recovery/specs; " +
					"move what it needs there, or let its caller pass it in",
			},
		},
		{
			name: "a folder without a place",
			tree: map[string]string{
				"internal/util/util.go":       `package util`,
				"internal/kubeconfig/load.go": `package kubeconfig`,
			},
			expected: []string{
				"internal/kubeconfig has no place in the arrows: put the code where it is used, or add the folder to arrows in " +
					"internal/archtest and to the picture in internal/doc.go",
				"internal/util has no place in the arrows: put the code where it is used, or add the folder to arrows in " +
					"internal/archtest and to the picture in internal/doc.go",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkImportDirection(parse(t, test.tree)))
		})
	}
}

func TestPackageCommentsCanFail(t *testing.T) {
	t.Parallel()

	const sentence = "// Package kube reads and deletes the node's own pods.\n"

	for _, test := range []struct {
		name     string
		tree     map[string]string
		expected []string
	}{
		{
			name: "one sentence in one file",
			tree: map[string]string{
				"internal/kube/doc.go":  sentence + "package kube",
				"internal/kube/pods.go": "// licence\n\npackage kube",
			},
		},
		{
			name: "what the go command does not see needs no comment",
			tree: map[string]string{
				"internal/kube/testdata/pods.go": "package pods",
				"build/gen.go":                   "package gen",
				".cache/gen.go":                  "package gen",
				"internal/_old/old.go":           "package old",
			},
		},
		{
			name: "none",
			tree: map[string]string{"hack/lab/main.go": "// licence\n\npackage main"},
			expected: []string{
				"hack/lab has no package comment: add one in doc.go that says what the package is and what it is not",
			},
		},
		{
			name: "only in a test",
			tree: map[string]string{
				"internal/kube/pods.go":      "package kube",
				"internal/kube/pods_test.go": "// Package kube_test tests the reading and the deleting of pods.\npackage kube_test",
			},
			expected: []string{
				"internal/kube has no package comment: add one in doc.go that says what the package is and what it is not",
			},
		},
		{
			name: "only a directive",
			tree: map[string]string{"internal/kube/pods.go": "//go:generate a generator with a good many arguments\npackage kube"},
			expected: []string{
				"internal/kube has no package comment: add one in doc.go that says what the package is and what it is not",
			},
		},
		{
			name: "two",
			tree: map[string]string{
				"internal/kube/doc.go":  sentence + "package kube",
				"internal/kube/pods.go": sentence + "package kube",
			},
			expected: []string{
				"internal/kube has package comments in doc.go and pods.go: keep one",
			},
		},
		{
			name: "hardly more than a name",
			tree: map[string]string{"internal/kube/doc.go": "// Package kube implements kube.\npackage kube"},
			expected: []string{
				"internal/kube/doc.go: the package comment is hardly more than a name: say what the package is and what it is not",
			},
		},
		{
			name: "the licence",
			tree: map[string]string{
				"internal/kube/doc.go":  sentence + "package kube",
				"internal/kube/pods.go": "// This Source Code Form is subject to the terms of a licence.\npackage kube",
			},
			expected: []string{
				"internal/kube/pods.go: the licence header stands as the package comment: " +
					"put an empty line between it and the package clause",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkPackageComments(parse(t, test.tree)))
		})
	}
}

func TestPureImportsCanFail(t *testing.T) {
	t.Parallel()

	const (
		core  = "github.com/talos-rebound/rebound/internal/recovery"
		specs = "github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
		kube  = "github.com/talos-rebound/rebound/internal/kube"

		advice = ": the core turns facts and a point in time into a plan; " +
			"move this to internal/kube or to the controller and hand the core its result"
	)

	for _, test := range []struct {
		name     string
		graph    importGraph
		expected []string
	}{
		{
			name: "time, text and the specs",
			graph: importGraph{
				core:      {"time", "fmt", "logic", "net/netip", specs},
				specs:     {"time"},
				"fmt":     {"io", "os"},
				kube:      {"context", "k8s.io/client-go/kubernetes"},
				"log":     {"context"},
				"context": {"time"},
			},
		},
		{
			name:  "a client, directly",
			graph: importGraph{core: {"k8s.io/api/core/v1"}},
			expected: []string{
				"internal/recovery reaches k8s.io/api/core/v1 (" + core + " -> k8s.io/api/core/v1)" + advice,
			},
		},
		{
			name:  "below the core",
			graph: importGraph{core + "/backoff": {"math/rand/v2"}},
			expected: []string{
				"internal/recovery/backoff reaches math/rand/v2 (" + core + "/backoff -> math/rand/v2)" + advice,
			},
		},
		{
			name: "through the specs and somebody else's package, by the shortest way",
			graph: importGraph{
				core:            {"example.com/far", specs},
				specs:           {"example.com/a"},
				"example.com/a": {"context"},
				"example.com/b": {"example.com/a"},
				"example.com/far": {
					"example.com/b",
				},
			},
			expected: []string{
				"internal/recovery reaches context (" + core + " -> " + specs + " -> example.com/a -> context)" + advice,
				"pkg/resources/recovery/specs reaches context (" + specs + " -> example.com/a -> context)" + advice,
			},
		},
		{
			name: "all there is to find, but not what those import in turn",
			graph: importGraph{
				core:       {"net/http", "log/slog", "go.uber.org/zap"},
				"net/http": {"context", "net"},
			},
			expected: []string{
				"internal/recovery reaches net/http (" + core + " -> net/http)" + advice,
				"internal/recovery reaches log/slog (" + core + " -> log/slog)" + advice,
				"internal/recovery reaches go.uber.org/zap (" + core + " -> go.uber.org/zap)" + advice,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkPureImports(test.graph))
		})
	}
}

func TestPureSourceCanFail(t *testing.T) {
	t.Parallel()

	const sequential = ": the core decides and returns; what runs at the same time or waits belongs to the controller"

	for _, test := range []struct {
		name     string
		tree     map[string]string
		expected []string
	}{
		{
			name: "points in time and lengths of time",
			tree: map[string]string{
				"internal/recovery/plan.go": `package recovery

import "time"

func late(now, then time.Time) bool { return now.Sub(then) > time.Minute && now.After(then) }
`,
			},
		},
		{
			name: "tests and other packages may",
			tree: map[string]string{
				"internal/recovery/plan_test.go": `package recovery_test; import "time"; var now = time.Now()`,
				"internal/kube/pods.go":          `package kube; import "time"; var now = time.Now()`,
			},
		},
		{
			name: "the clock",
			tree: map[string]string{
				"internal/recovery/plan.go": `package recovery

import "time"

var start = time.Now()

func wait() { time.Sleep(time.Since(start)) }
`,
			},
			expected: []string{
				"internal/recovery/plan.go:5: time.Now depends on the clock: take now as an argument",
				"internal/recovery/plan.go:7: time.Sleep depends on the clock: take now as an argument",
				"internal/recovery/plan.go:7: time.Since depends on the clock: take now as an argument",
			},
		},
		{
			name: "the clock under other names",
			tree: map[string]string{
				"internal/recovery/limits.go":           `package recovery; import . "time"; var start = Now()`,
				"pkg/resources/recovery/specs/phase.go": `package specs; import clock "time"; var now = clock.Now`,
			},
			expected: []string{
				`internal/recovery/limits.go imports package time under the name ".": import it under its own name`,
				"pkg/resources/recovery/specs/phase.go:1: time.Now depends on the clock: take now as an argument",
			},
		},
		{
			name: "more than one thing at a time",
			tree: map[string]string{
				"internal/recovery/plan.go": `package recovery

func plan() {
	c := make(chan int)
	go func() {
		c <- 1
	}()
	<-c
	select {}
}
`,
			},
			expected: []string{
				"internal/recovery/plan.go:4: a channel" + sequential,
				"internal/recovery/plan.go:5: a goroutine" + sequential,
				"internal/recovery/plan.go:6: a send to a channel" + sequential,
				"internal/recovery/plan.go:8: a receive from a channel" + sequential,
				"internal/recovery/plan.go:9: a select statement" + sequential,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkPureSource(parse(t, test.tree)))
		})
	}
}

func TestMethodLookupCanFail(t *testing.T) {
	t.Parallel()

	const cost = ": in machined it switches dead-code elimination off; "

	for _, test := range []struct {
		name     string
		tree     map[string]string
		expected []string
	}{
		{
			name: "reflection without methods, and methods of other names",
			tree: map[string]string{
				"pkg/check/check.go":    `package check; import "reflect"; var kind = reflect.TypeFor[int]().Kind()`,
				"internal/kube/pods.go": `package kube; import "net/http"; func method(r *http.Request) string { return r.Method }`,
			},
		},
		{
			name: "tests and what machined does not link may",
			tree: map[string]string{
				"pkg/check/check_test.go": `package check_test; import _ "text/template"`,
				"internal/cli/print.go":   `package cli; import _ "text/template"`,
			},
		},
		{
			name: "templates",
			tree: map[string]string{
				"pkg/check/check.go":        `package check; import _ "text/template"`,
				"internal/recovery/plan.go": `package recovery; import _ "html/template"`,
			},
			expected: []string{
				"internal/recovery/plan.go:1: imports html/template" + cost + "build the text with fmt",
				"pkg/check/check.go:1: imports text/template" + cost + "build the text with fmt",
			},
		},
		{
			name: "reflection",
			tree: map[string]string{
				"internal/kube/pods.go": `package kube

import "reflect"

func call(name string) {
	reflect.ValueOf(0).MethodByName(name)
	reflect.ValueOf(0).Method(len(name))
}
`,
			},
			expected: []string{
				"internal/kube/pods.go:6: uses MethodByName of package reflect" + cost + "use an interface or a switch",
				"internal/kube/pods.go:7: uses Method of package reflect" + cost + "use an interface or a switch",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkMethodLookup(parse(t, test.tree)))
		})
	}
}

func TestModulesCanFail(t *testing.T) {
	t.Parallel()

	assert.Empty(t, checkModules([]string{modulePath, "k8s.io/api v0.36.3", "k8s.io/kubernetes-fork v1.36.3"}))
	assert.Equal(t,
		[]string{
			"the root module requires k8s.io/kubernetes v1.36.3: whoever imports us would need its replace lines; " +
				"keep what needs it in hack/lab",
		},
		checkModules([]string{modulePath, "k8s.io/api v0.36.3", "k8s.io/kubernetes v1.36.3"}))
}

func TestTopLevelCanFail(t *testing.T) {
	t.Parallel()

	assert.Empty(t, checkTopLevel([]string{".ci/run", ".gitignore", "LICENSE", "cmd/rebound/main.go", "go.mod"}))
	assert.Equal(t,
		[]string{
			"docs does not belong at the top of the repository: only pkg, internal, cmd, hack, go.mod, go.sum, Makefile, " +
				"README.md, LICENSE and names that begin with a dot do",
		},
		checkTopLevel([]string{"Makefile", "docs/design.md", "docs/lab.md", "hack/docs/x.md"}))
}

func TestParseTreeReportsWhatItCannotRead(t *testing.T) {
	t.Parallel()

	_, err := parseTree(tree(map[string]string{"internal/kube/pods.go": "package"}))
	assert.EqualError(t, err, "internal/kube/pods.go:1:8: expected 'IDENT', found 'EOF'")
}

func parse(t *testing.T, sources map[string]string) []sourcePackage {
	t.Helper()

	packages, err := parseTree(tree(sources))
	require.NoError(t, err)

	return packages
}

func tree(sources map[string]string) fstest.MapFS {
	repo := fstest.MapFS{}

	for name, source := range sources {
		repo[name] = &fstest.MapFile{Data: []byte(source)}
	}

	return repo
}
