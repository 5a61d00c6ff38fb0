// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// guard keeps one thing true of the repository, and has an example that it must refuse.
type guard struct {
	name  string
	check func(*testing.T, repository, refuseFunc)
	slow  bool // left out of a short run

	// The example has only what the guard looks at: files, in whose imports "~" stands for our module, and fields.
	tree    map[string]string
	example repository
	refused []string // parts of the violations, in the order of those; nothing else may be refused
}

// violations returns each violation once, sorted.
func (g guard) violations(t *testing.T, r repository) []string {
	t.Helper()

	var violations []string

	g.check(t, r, func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) })
	slices.Sort(violations)

	return slices.Compact(violations)
}

// TestRepository runs every guard over the repository.
func TestRepository(t *testing.T) {
	t.Parallel()

	r := readRepository(t, filepath.Join("..", ".."))

	for _, folder := range []string{"internal/recovery", "pkg/resources/recovery/specs", "internal/archtest"} {
		isFolder := func(p listedPackage) bool { return p.ImportPath == modulePath+"/"+folder }
		require.True(t, slices.ContainsFunc(r.root, isFolder), "nothing to guard: has %s been moved?", folder)
	}

	require.Contains(t, r.machined, "github.com/cosi-project/runtime/pkg/controller", "this is not what machined links")
	require.Contains(t, r.modules, modulePath, "these are not our modules")

	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()

			if g.slow && testing.Short() {
				t.Skip("checks or compiles COSI and client-go once more")
			}

			if violations := g.violations(t, r); len(violations) > 0 {
				t.Errorf("%d violations:\n%s", len(violations), strings.Join(violations, "\n"))
			}
		})
	}
}

// TestGuardsCanFail shows each guard what it must refuse, next to what it must let pass.
func TestGuardsCanFail(t *testing.T) {
	t.Parallel()

	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()

			require.NotEmpty(t, g.refused)

			violations := g.violations(t, g.read(t))

			for i, refused := range g.refused {
				if i < len(violations) && strings.Contains(violations[i], refused) {
					violations[i] = refused
				}
			}

			assert.Equal(t, g.refused, violations)
		})
	}
}

// read makes files of the tree, and gives each linked package its folder among them.
func (g guard) read(t *testing.T) repository {
	t.Helper()

	r := g.example
	r.dir = t.TempDir()

	for name, content := range g.tree {
		name = filepath.Join(r.dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(strings.ReplaceAll(content, `"~/`, `"`+modulePath+`/`)), 0o600))
	}

	var err error

	r.sources, err = parseTree(os.DirFS(r.dir))
	require.NoError(t, err)

	r.linked = slices.Clone(r.linked)
	for i, p := range r.linked {
		r.linked[i].Dir = filepath.Join(r.dir, filepath.FromSlash(strings.TrimPrefix(p.ImportPath, modulePath+"/")))
	}

	return r
}

const (
	core        = modulePath + "/internal/recovery"
	coordinator = modulePath + "/internal/reboot"
	specs       = modulePath + "/pkg/resources/recovery/specs"
	kube        = modulePath + "/internal/kube"
	health      = modulePath + "/pkg/check"
	controllers = modulePath + "/pkg/controllers/recovery"

	clientGo = "k8s.io/client-go/kubernetes"
)

// guards is everything that is kept true. What an example's tree has beside what is refused must pass.
var guards = []guard{
	{
		name:  "imports follow the arrows",
		check: checkImportDirection,
		tree: map[string]string{
			// All arrows may be followed, over several steps too.
			"cmd/rebound/main.go":              `package main; import (_ "~/internal/cli"; _ "~/pkg/check")`,
			"internal/cli/cli.go":              `package cli; import (_ "~/pkg/controllers/recovery"; _ "~/internal/kube")`,
			"internal/recovery/plan.go":        `package recovery; import _ "~/pkg/resources/recovery/specs"`,
			"pkg/resources/recovery/status.go": `package recovery; import _ "~/pkg/resources/recovery/specs"`,
			"hack/lab/main.go":                 `package main; import _ "~/pkg/controllers/recovery"`,
			"internal/agent/bus.go":            `package agent; import (_ "~/internal/kube"; _ "~/pkg/controllers/recovery")`,
			"cmd/rebound-coordinator/main.go":  `package main; import (_ "~/internal/reboot"; _ "~/pkg/apis/reboot/v1alpha1")`,
			// Tests may import what they like, and other people's packages count in few places.
			"internal/kube/pods_test.go":     `package kube_test; import _ "~/internal/ctest"`,
			"pkg/resources/recovery/spec.go": `package recovery; import _ "github.com/talos-rebound/rebound-extras/cmd"`,
			"internal/agent/metrics.go":      `package agent; import _ "github.com/prometheus/client_golang/prometheus"`,
			"pkg/apis/reboot/meta.go":        `package reboot; import (_ "time"; _ "k8s.io/apimachinery/pkg/apis/meta/v1")`,
			"internal/doc.go":                `package internal`,

			// Up and sideways; the core sees the specs only, and the resources see nothing.
			"internal/kube/pods.go":                 "package kube\n\nimport _ \"~/pkg/controllers/recovery\"",
			"pkg/check/check.go":                    `package check; import _ "~/internal/kube"`,
			"internal/recovery/status.go":           `package recovery; import _ "~/pkg/resources/recovery"`,
			"pkg/resources/recovery/specs/phase.go": `package specs; import _ "~/internal/recovery"`,
			// Nothing imports cmd, not even the lab, and what is shipped does not need what is for tests.
			"hack/lab/up.go":        `package main; import _ "~/cmd/rebound/options"`,
			"internal/cli/nodes.go": `package cli; import _ "~/internal/ctest"`,
			// Nothing that machined links leads to the agent: what these two may import may not import it either.
			"internal/agent/agent.go":             `package agent; import _ "~/pkg/check"`,
			"pkg/check/agent.go":                  `package check; import _ "~/internal/agent"`,
			"pkg/controllers/recovery/agent.go":   `package recovery; import _ "~/internal/agent/sessions"`,
			"internal/reboot/plan.go":             `package reboot; import _ "~/pkg/apis/reboot/v1alpha1"`,
			"pkg/apis/reboot/v1alpha1/types.go":   `package v1alpha1; import (_ "~/internal/reboot"; _ "k8s.io/api/core/v1")`,
			"pkg/apis/reboot/v1alpha1/builder.go": `package v1alpha1; import _ "sigs.k8s.io/controller-runtime/pkg/scheme"`,
			// Folders without a place.
			"internal/util/util.go":         `package util`,
			"internal/kubelet/load_test.go": `package kubelet_test`,
			"internal/internal.go":          `package internal`,
		},
		refused: []string{
			"hack/lab/up.go:1: imports " + modulePath + `/cmd/rebound/options against the arrows, which lead to ["internal/cli" ` +
				`"internal/ctest" "internal/reboot" "internal/talosapi" "pkg/apis"]; move what it needs there, or let its caller pass it in`,
			"internal has no place in the arrows",
			"internal/agent/agent.go:1: imports " + health + " against the arrows",
			"internal/cli/nodes.go:1: imports " + modulePath + "/internal/ctest against the arrows",
			"internal/kube/pods.go:3: imports " + controllers + " against the arrows",
			"internal/kubelet has no place in the arrows: put the code where it is used, or add the folder to arrows in " +
				"internal/archtest and to the picture in internal/doc.go",
			"internal/reboot/plan.go:1: imports " + modulePath + "/pkg/apis/reboot/v1alpha1 against the arrows, which lead to [\"internal/backoff\"]",
			"internal/recovery/status.go:1: imports " + modulePath + "/pkg/resources/recovery against the arrows",
			"internal/util has no place in the arrows",
			"pkg/apis/reboot/v1alpha1/builder.go:1: imports sigs.k8s.io/controller-runtime/pkg/scheme against the arrows",
			"pkg/apis/reboot/v1alpha1/types.go:1: imports " + coordinator + " against the arrows, which lead to " + `["pkg/resources/recovery/specs"]`,
			`pkg/apis/reboot/v1alpha1/types.go:1: imports k8s.io/api/core/v1 against the arrows, which lead to ["k8s.io/apimachinery"]`,
			"pkg/check/agent.go:1: imports " + modulePath + "/internal/agent against the arrows",
			"pkg/check/check.go:1: imports " + kube + " against the arrows",
			"pkg/controllers/recovery/agent.go:1: imports " + modulePath + "/internal/agent/sessions against the arrows",
			"pkg/resources/recovery/specs/phase.go:1: imports " + core + " against the arrows, which lead to []",
		},
	},
	{
		name:  "every package says what it is",
		check: checkPackageComments,
		tree: map[string]string{
			"good/doc.go":  "// Package good reads and deletes the node's own pods.\npackage good",
			"good/pods.go": "// licence\n\npackage good",
			// What the go command does not see needs no comment.
			"good/testdata/pods.go": "package pods",
			"build/gen.go":          "package gen",
			".cache/gen.go":         "package gen",
			"good/_old/old.go":      "package old",

			"a/none.go":      "// licence\n\npackage a",
			"b/test.go":      "package b",
			"b/test_test.go": "// Package b_test tests the reading and the deleting of pods.\npackage b_test",
			"c/directive.go": "//go:generate a generator with a good many arguments\npackage c",
			"d/name.go":      "// Package d implements d.\npackage d",
			"e/doc.go":       "// Package e reads and deletes the node's own pods.\npackage e",
			"e/licence.go":   "// This Source Code Form is subject to the terms of a licence.\npackage e",
			"f/doc.go":       "// Package f reads and deletes the node's own pods.\npackage f",
			"f/pods.go":      "// Package f reads and deletes the node's own pods.\npackage f",
		},
		refused: []string{
			"a has no package comment: add one in doc.go that says what the package is and what it is not",
			"b has no package comment",
			"c has no package comment",
			"d/name.go: the package comment is hardly more than a name: say what the package is and what it is not",
			"e/licence.go: the licence header stands as the package comment: put an empty line between it and the package clause",
			"f has package comments in doc.go and pods.go: keep one",
		},
	},
	{
		name:  "the cores reach no client",
		check: checkPureImports,
		example: repository{root: []listedPackage{
			{ImportPath: core, Imports: []string{"time", "fmt", "logic", "net/netip", "k8s.io/api/core/v1", "log/slog", "net", "net/http", specs}},
			{ImportPath: core + "/backoff", Imports: []string{"math/rand/v2"}},
			{ImportPath: coordinator, Imports: []string{"example.com/far", "example.com/a"}},
			{ImportPath: "example.com/far", Imports: []string{"example.com/b"}},
			{ImportPath: "example.com/b", Imports: []string{"example.com/a"}},
			{ImportPath: "example.com/a", Imports: []string{"go.uber.org/zap"}},
			{ImportPath: specs, Imports: []string{"context", "time"}},
			// Others may, and so may what is refused anyway.
			{ImportPath: kube, Imports: []string{"os/exec", "k8s.io/client-go/kubernetes"}},
			{ImportPath: "fmt", Imports: []string{"io", "os"}},
			{ImportPath: "net/http", Imports: []string{"os/exec"}},
		}},
		refused: []string{
			coordinator + " -> example.com/a -> go.uber.org/zap: the core turns facts and a point in time into a plan; move this " +
				"to internal/kube or to the controller and hand the core its result",
			core + " -> " + specs + " -> context: the core",
			core + " -> k8s.io/api/core/v1: the core",
			core + " -> log/slog: the core",
			core + " -> net/http: the core",
			core + " -> net: the core",
			core + "/backoff -> math/rand/v2: the core",
			specs + " -> context: the core",
		},
	},
	{
		name:  "the cores do not read the clock and have no goroutines",
		check: checkPureSource,
		tree: map[string]string{
			// Points in time and lengths of time are data. Tests and other packages may read the clock.
			"internal/recovery/late.go": `package recovery; import "time"
				func late(now, then time.Time) bool { return now.Sub(then) > time.Minute && now.After(then) }`,
			"internal/recovery/plan_test.go": `package recovery_test; import "time"; var now = time.Now()`,
			"internal/kube/pods.go":          `package kube; import "time"; var now = time.Now()`,

			"internal/reboot/plan.go": `package reboot; import "time"; var start = time.Now()
				func wait() { time.Sleep(time.Minute) }`,
			"internal/recovery/limits.go":           `package recovery; import . "time"; var start = Now()`,
			"pkg/resources/recovery/specs/phase.go": `package specs; import clock "time"; var now = clock.Now`,
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
		refused: []string{
			"internal/reboot/plan.go:1: time.Now depends on the clock: take now as an argument",
			"internal/reboot/plan.go:2: time.Sleep depends on the clock",
			`internal/recovery/limits.go imports package time under the name ".": import it under its own name`,
			"internal/recovery/plan.go:4: more than one thing at a time: the core decides and returns; what waits belongs to",
			"internal/recovery/plan.go:5: more than one thing at a time",
			"internal/recovery/plan.go:6: more than one thing at a time",
			"internal/recovery/plan.go:8: more than one thing at a time",
			"internal/recovery/plan.go:9: more than one thing at a time",
			"pkg/resources/recovery/specs/phase.go:1: time.Now depends on the clock",
		},
	},
	{
		name:  "some modules never reach the root module",
		check: checkModules,
		example: repository{modules: []string{
			modulePath, "k8s.io/api v0.36.3", "k8s.io/kubernetes v1.36.3", "k8s.io/kubernetes-fork v1.36.3",
			"sigs.k8s.io/controller-runtime v0.24.0",
		}},
		refused: []string{
			"the root module requires k8s.io/kubernetes v1.36.3: whoever imports us would need its replace lines; keep what " +
				"needs it in hack/kubernetes",
			"the root module requires sigs.k8s.io/controller-runtime v0.24.0: whoever builds Talos with us would get its " +
				"requirements; keep what needs it in cmd/rebound-coordinator",
		},
	},
	{
		name:  "Kubernetes and rebound are in modules of their own",
		check: checkKubernetes,
		example: repository{required: map[string]map[string]string{
			"hack/kubernetes/1.34.mod": {"k8s.io/kubernetes": "v1.34.4", modulePath: "v0.0.0"},
			"hack/kubernetes/go.mod":   {"k8s.io/kubernetes": "v1.36.3"},
			"hack/lab/go.mod":          {"k8s.io/kubernetes": "v1.36.3", "k8s.io/kubelet": "v0.36.3", modulePath: "v0.0.0"},
		}},
		refused: []string{
			"hack/kubernetes/1.34.mod requires " + modulePath + ": what rebound requires would have a say in the versions",
			"hack/lab/go.mod requires k8s.io/kubernetes: everything that links it takes minutes to build",
		},
	},
	{
		name:  "Talos never has to take a version of ours",
		check: checkNotOlder,
		example: repository{required: map[string]map[string]string{
			"go.mod":     {"example.com/a": "v1.2.0", "example.com/b": "v1.2.0", "example.com/c": "v1.2.0-rc.1"},
			talosModfile: {"example.com/a": "v1.1.9", "example.com/b": "v1.10.0", "example.com/c": "v1.1.0", "example.com/d": "v1.0.0"},
			nextModfile:  {"example.com/a": "v1.2.0", "example.com/b": "v1.1.0", "example.com/c": "v1.2.0"},
		}},
		refused: []string{
			"go.mod requires example.com/a v1.2.0, but " + talosModfile + " v1.1.9: Talos would have to take ours; lower go.mod, " +
				"or raise " + talosModfile + " once Talos has",
			"go.mod requires example.com/b v1.2.0, but " + nextModfile + " v1.1.0",
			"go.mod requires example.com/c v1.2.0-rc.1, but " + talosModfile + " v1.1.0",
		},
	},
	{
		name:    "nothing new lies at the top level",
		check:   checkTopLevel,
		example: repository{tracked: []string{".ci/run", ".gitignore", "LICENSE", "cmd/main.go", "docs/a.md", "docs/b.md", "hack/docs/x.md"}},
		refused: []string{
			`docs does not belong at the top of the repository: only names that begin with a dot and ["pkg" "internal" "cmd" "hack" `,
		},
	},
	{
		name:  "machined links no package for us alone",
		check: checkAdded,
		example: repository{
			machined: []string{"# machined links:", "", clientGo, "k8s.io/client-go v0.36.3", "k8s.io/utils v0.1.0"},
			linked: []listedPackage{
				// Ours, the standard library, what machined has and what lies behind that.
				{ImportPath: controllers, Imports: []string{"context", kube, "k8s.io/client-go/informers"}},
				{ImportPath: kube, Imports: []string{clientGo, "k8s.io/client-go/informers"}},
				{ImportPath: clientGo, Module: module{Path: "k8s.io/client-go", Version: "v0.36.3"}, Imports: []string{
					"k8s.io/client-go/rest", "net/http", "gopkg.in/yaml.v3", "k8s.io/utils/net",
				}},
				{ImportPath: "k8s.io/client-go/rest", Module: module{Path: "k8s.io/client-go", Version: "v0.36.3"}},
				{ImportPath: "context", Standard: true},
				{ImportPath: "net/http", Standard: true},
				// Another package of a module that machined has. What lies behind it is not reported too.
				{ImportPath: "k8s.io/client-go/informers", Module: module{Path: "k8s.io/client-go", Version: "v0.36.3"}, Imports: []string{
					"example.com/listers",
				}},
				{ImportPath: "example.com/listers", Module: module{Path: "example.com/listers", Version: "v1.0.0"}},
				// A module that machined has not, and one that it has in another version.
				{ImportPath: "gopkg.in/yaml.v3", Module: module{Path: "gopkg.in/yaml.v3", Version: "v3.0.1"}},
				{ImportPath: "k8s.io/utils/net", Module: module{Path: "k8s.io/utils", Version: "v0.2.0"}},
			},
		},
		refused: []string{
			"machined -> " + controllers + " -> " + kube + " -> " + clientGo + " -> gopkg.in/yaml.v3: machined does not link it " +
				"yet, or not in this version, and every node would carry it; do without, or run make linked if Talos has it",
			"machined -> " + controllers + " -> " + kube + " -> " + clientGo + " -> k8s.io/utils/net: machined does not",
			"machined -> " + controllers + " -> k8s.io/client-go/informers: machined does not",
		},
	},
	{
		name:  "machined can drop dead code",
		check: checkDeadCode,
		tree: map[string]string{
			// Reflection without methods, methods of other names, and in other people's code a name that is written there.
			"pkg/check/kind.go":         `package check; import "reflect"; var kind = reflect.TypeFor[int]().Kind()`,
			"pkg/check/request.go":      `package check; import "net/http"; func method(r *http.Request) string { return r.Method }`,
			"example.com/a/constant.go": `package a; import "reflect"; var get = reflect.ValueOf(0).MethodByName("Get")`,
			"example.com/a/request.go":  `package a; import "reflect"; func MethodByName(r request) string { return r.Method }`,

			"pkg/check/name.go":   `package check; import "reflect"; var get = reflect.ValueOf(0).MethodByName("Get")`,
			"pkg/check/number.go": `package check; import "reflect"; func call(i int) { reflect.ValueOf(0).Method(i) }`,
			"example.com/a/variable.go": `package a

import "reflect"

func get(name string) {
	reflect.ValueOf(0).MethodByName("Get" + name)
	reflect.TypeFor[int]().MethodByName(name)
	lookup := reflect.ValueOf(0).MethodByName
	lookup("Get")
}
`,
		},
		example: repository{linked: []listedPackage{
			{ImportPath: health, GoFiles: []string{"kind.go", "name.go", "number.go", "request.go"}, Imports: []string{"text/template"}},
			{ImportPath: controllers, Imports: []string{"example.com/a"}},
			{ImportPath: "example.com/a", GoFiles: []string{"constant.go", "request.go", "variable.go"}, Imports: []string{"html/template"}},
			{ImportPath: "html/template", Imports: []string{"text/template"}, Standard: true},
			{ImportPath: "text/template", GoFiles: []string{"exec.go"}, Standard: true},
		}},
		refused: []string{
			"example.com/a/variable.go:6: looks a method up at run time: in machined it switches dead-code elimination off; use an " +
				"interface or a switch, or do without this package",
			"example.com/a/variable.go:7: looks a method up at run time",
			"example.com/a/variable.go:8: looks a method up at run time",
			health + "/name.go:1: looks a method up at run time",
			health + "/number.go:1: looks a method up at run time",
			"machined -> " + health + " -> text/template: in machined it switches dead-code elimination off; import something smaller",
			"machined -> " + controllers + " -> example.com/a -> html/template: in machined it switches dead-code",
		},
	},
	{
		name:  "what machined links compiles on its other architecture",
		check: checkCompiles,
		slow:  true,
		tree: map[string]string{
			"go.mod":                          "module " + modulePath + "\n\ngo 1.26\n",
			talosModfile:                      "module " + modulePath + "\n\ngo 1.20\n",
			"pkg/resources/recovery/types.go": "package recovery\n\nimport _ \"unsafe\"",
			// Of the build, its architecture, tag and modules count.
			"pkg/check/check_amd64.go":        "package check\n\nvar days string = 7\n",
			"pkg/check/check_arm64.go":        "package check\n\nvar days int = \"seven\"\n",
			"pkg/check/check.go":              "//go:build grpcnotrace\n\npackage check\n\nfunc seven() { days() }\n",
			"pkg/controllers/recovery/run.go": "package recovery\n\nfunc run() {\n\tfor range 7 {\n\t}\n}\n",
		},
		refused: []string{
			health + "/check.go:5:16: invalid operation: cannot call days",
			health + `/check_arm64.go:3:16: cannot use "seven"`,
			controllers + "/run.go:4:12: cannot range over 7",
		},
	},
	{
		// Before Go 1.22, the variable of a loop was one and the same in all turns.
		name:  "what machined links passes its tests with the next Talos",
		check: checkNextTalos,
		slow:  true,
		tree: map[string]string{
			"go.mod":             "module " + modulePath + "\n\ngo 1.26\n",
			nextModfile:          "module " + modulePath + "\n\ngo 1.20\n",
			"pkg/check/check.go": "package check\n\nfunc days() (d []*int) {\n\tfor i := 0; i < 7; i++ {\n\t\td = append(d, &i)\n\t}\n\treturn\n}\n",
			"pkg/check/check_test.go": `package check; import "testing"
				func TestDays(t *testing.T) { if d := days(); d[0] == d[6] { t.Error("days are missing") } }`,
		},
		example: repository{linked: []listedPackage{{ImportPath: health}, {ImportPath: core}, {ImportPath: "example.com/a"}}},
		refused: []string{"days are missing"},
	},
}
