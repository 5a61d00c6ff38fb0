// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	linkedCheck      = modulePath + "/pkg/check"
	linkedController = modulePath + "/pkg/controllers/recovery"
	linkedKube       = modulePath + "/internal/kube"
)

func TestLinkedFoldersCanFail(t *testing.T) {
	t.Parallel()

	assert.Empty(t, checkLinkedFolders([]listedPackage{
		{ImportPath: linkedCheck},
		{ImportPath: linkedKube},
		{ImportPath: modulePath + "-extras/cmd"},
		{ImportPath: "context", Standard: true},
	}))
	assert.Equal(t,
		[]string{
			"machined links internal/clock: add it to linkedFolders in internal/archtest and to dead-code-elimination in " +
				".golangci.yml",
		},
		checkLinkedFolders([]listedPackage{{ImportPath: linkedCheck}, {ImportPath: modulePath + "/internal/clock"}}))
}

func TestAddedCanFail(t *testing.T) {
	t.Parallel()

	const advice = ": machined of Talos v1.13.9 does not link it yet, and every node would carry it; " +
		"do without, or with what testdata/machined-1.13.9.txt lists"

	machined := readMachined([]byte("# machined links:\n\nk8s.io/client-go/kubernetes\nk8s.io/client-go/rest\n"))

	for _, test := range []struct {
		name     string
		packages []listedPackage
		expected []string
	}{
		{
			name: "ours, the standard library and what machined has",
			packages: []listedPackage{
				{ImportPath: linkedController, Imports: []string{"context", linkedKube}},
				{ImportPath: linkedKube, Imports: []string{"k8s.io/client-go/kubernetes"}},
				{ImportPath: "k8s.io/client-go/kubernetes", Imports: []string{"k8s.io/client-go/rest", "net/http"}},
				{ImportPath: "k8s.io/client-go/rest"},
				{ImportPath: "context", Standard: true},
				{ImportPath: "net/http", Standard: true},
			},
		},
		{
			name: "another package of a module that machined has, and not what lies behind it",
			packages: []listedPackage{
				{ImportPath: linkedController, Imports: []string{linkedKube}},
				{ImportPath: linkedKube, Imports: []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/informers"}},
				{ImportPath: "k8s.io/client-go/kubernetes"},
				{ImportPath: "k8s.io/client-go/informers", Imports: []string{"k8s.io/client-go/listers"}},
				{ImportPath: "k8s.io/client-go/listers"},
			},
			expected: []string{
				"machined links k8s.io/client-go/informers (" + linkedController + " -> " + linkedKube +
					" -> k8s.io/client-go/informers)" + advice,
			},
		},
		{
			name: "through what machined has, in the version of ours, and once for two who need it",
			packages: []listedPackage{
				{ImportPath: linkedCheck, Imports: []string{"k8s.io/client-go/rest"}},
				{ImportPath: linkedController, Imports: []string{"k8s.io/client-go/rest"}},
				{ImportPath: "k8s.io/client-go/rest", Imports: []string{"gopkg.in/yaml.v3"}},
				{ImportPath: "gopkg.in/yaml.v3"},
			},
			expected: []string{
				"machined links gopkg.in/yaml.v3 (" + linkedCheck + " -> k8s.io/client-go/rest -> gopkg.in/yaml.v3)" + advice,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, test.expected, checkAdded(test.packages, machined))
		})
	}
}

func TestTemplatesCanFail(t *testing.T) {
	t.Parallel()

	assert.Empty(t, checkTemplates(importGraph{
		linkedCheck:           {"google.golang.org/grpc"},
		modulePath + "/cmd":   {"text/template"},
		"golang.org/x/net/xx": {"html/template"},
	}))
	assert.Equal(t,
		[]string{
			"machined links text/template (" + linkedCheck + " -> text/template): in machined it switches dead-code " +
				"elimination off; import something smaller",
			"machined links html/template (" + linkedController + " -> google.golang.org/grpc -> golang.org/x/net/trace -> " +
				"html/template): in machined it switches dead-code elimination off; import something smaller",
		},
		checkTemplates(importGraph{
			linkedCheck:              {"text/template"},
			linkedController:         {"google.golang.org/grpc"},
			"google.golang.org/grpc": {"golang.org/x/net/trace"},
			"golang.org/x/net/trace": {"html/template"},
			"html/template":          {"text/template"},
		}))
}

// TestMethodNamesCanFail goes through real files, since those of other people lie where no tree of ours does.
func TestMethodNamesCanFail(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()

	for name, source := range map[string]string{
		"constant.go": `package lookup; import "reflect"; var get = reflect.ValueOf(0).MethodByName("Get")`,
		"variable.go": `package lookup

import "reflect"

func get(name string) {
	reflect.ValueOf(0).MethodByName("Get" + name)
	reflect.TypeFor[int]().MethodByName(name)
	lookup := reflect.ValueOf(0).MethodByName
	lookup("Get")
}
`,
		"none.go": `package lookup; this is not read any further`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600))
	}

	files, err := parseLookups([]listedPackage{
		{ImportPath: "text/template", Dir: dir, GoFiles: []string{"variable.go"}, Standard: true},
		{ImportPath: "example.com/lookup", Dir: dir, GoFiles: []string{"constant.go", "none.go", "variable.go"}},
	})
	require.NoError(t, err)

	const cost = ": looks a method up by a name that is known at run time only: in machined it switches dead-code elimination " +
		"off; do without this package"

	assert.Equal(t,
		[]string{
			"example.com/lookup/variable.go:6" + cost,
			"example.com/lookup/variable.go:7" + cost,
			"example.com/lookup/variable.go:8" + cost,
		},
		checkMethodNames(files))
}
