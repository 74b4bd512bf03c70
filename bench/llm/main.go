// Command llm measures the language model engine on files of real models' shapes with random weights, which
// it makes, and with -peer compares it with another program on the same files: tokens a second read (prefill)
// and written (decode) alone and eight at once, the time to a first token with and without a known prefix,
// and memory. See README.md for one command that installs llama.cpp as the peer and measures everything.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"docent/internal/tensor"
)

// contextTokens is the window of both programs.
const contextTokens = 2304

// measure is one kind of measurement; its command holds SEED where each run is to have another.
type measure struct {
	name    string
	command string
	tokens  int // that are timed; 0: those of answers, or what counts is the time itself
	context int // of decode
}

var measures = []measure{
	{"prefill 512", "prefill 512 SEED", 512, 0},
	{"prefill 2048", "prefill 2048 SEED", 2048, 0},
	{"decode at 128", "decode 128 TOKENS", 0, 128},
	{"decode at 2048", "decode 2048 TOKENS", 0, 2048},
	{"first token, 544", "first 512 SEED 32 1", 0, 0},
	{"first token, 512 known", "first 512 3 32 SEED", 0, 0},
	{"8 at once", "concurrent 8 TOKENS SEED", 0, 0},
}

func main() {
	log.SetFlags(0)
	name := flag.String("shape", "smollm2-135m", strings.Join(shapeNames, ", "))
	kind := flag.String("type", "Q8_0", strings.Join(kinds, ", "))
	all := flag.Bool("all", false, "all shapes and types")
	dir := flag.String("dir", os.TempDir(), "where model files are made")
	keep := flag.Bool("keep", false, "do not remove model files that were made")
	only := flag.String("only", "", "measure only what has this in its name")
	tokens := flag.Int("tokens", 32, "tokens of an answer")
	rounds := flag.Int("rounds", 3, "how often")
	threads := flag.Int("threads", runtime.GOMAXPROCS(0), "of both programs")
	peer := flag.String("peer", "", "command to compare with")
	save := flag.String("save", "", "file that a line of JSON is added to for each shape and type")
	profile := flag.String("profile", "", "file for a profile of docent's processor time, but for the first run; for one measurement, see -only")
	worker := flag.String("worker", "", "for its own use: the file to serve")
	flag.Parse()
	if *worker != "" {
		if err := serve(*worker, *threads, *profile); err != nil {
			log.Fatal(err)
		}
		return
	}
	run := runner{*dir, *keep, *only, *tokens, *rounds, *threads, strings.Fields(*peer), *save, *profile}
	if !*all {
		if err := run.compare(*name, *kind); err != nil {
			log.Fatal(err)
		}
		return
	}
	for _, name := range shapeNames {
		for _, kind := range kinds {
			if err := run.compare(name, kind); err != nil {
				log.Fatal(err)
			}
		}
	}
}

type runner struct {
	dir            string
	keep           bool
	only           string
	tokens, rounds int
	threads        int
	peer           []string
	save           string
	profile        string
}

// row is the medians of one measurement.
type row struct {
	Name               string
	Ours, Theirs       float64 // seconds
	OursCPU, TheirsCPU float64 // seconds of processor time
	Rate, TheirRate    float64 // tokens a second
	Ratio, RatioCPU    float64 // of speeds: ours to theirs
	Fraction           float64 // of the memory bandwidth, of decode
}

func (r runner) compare(name, kind string) error {
	path, weights, err := model(r.dir, name, kind)
	if err != nil {
		return err
	}
	if !r.keep {
		defer os.Remove(path)
	}
	reads := bandwidth(weights, r.threads)
	fmt.Printf("%s %s, %.0f MB of weights, %d threads, %s, memory read at %.1f GB/s\n", name, kind, float64(weights)/1e6, r.threads, tensor.Level(), reads/1e9)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := start(self, "-worker", path, "-threads", strconv.Itoa(r.threads), "-profile", r.profile)
	if err != nil {
		return err
	}
	defer ours.stop()
	var theirs *program
	if len(r.peer) > 0 {
		if theirs, err = start(r.peer[0], append(r.peer[1:], path, strconv.Itoa(r.threads), strconv.Itoa(contextTokens))...); err != nil {
			return err
		}
		defer theirs.stop()
	}
	programs := []*program{ours}
	if theirs != nil {
		programs = append(programs, theirs)
	}
	for _, p := range programs { // so that none is still reading its file while the other is measured
		if _, _, err := p.do("prefill 32 1"); err != nil {
			return err
		}
	}
	var rows []row
	seed := 10
	var memory [2]float64
	for _, m := range measures {
		if !strings.Contains(m.name, r.only) {
			continue
		}
		if m.name == "8 at once" && len(rows) > 0 {
			// llama.cpp makes its memory for this when it is asked to
			memory = [2]float64{ours.peak(), theirs.peak()}
		}
		var took, cpu [2][]float64
		for round := range r.rounds + 1 {
			seed += 8
			command := strings.NewReplacer("SEED", strconv.Itoa(seed), "TOKENS", strconv.Itoa(r.tokens)).Replace(m.command)
			if round == 0 && m.tokens > 512 {
				continue // has been warmed up by another
			}
			for i, p := range programs {
				seconds, processor, err := p.do(command)
				if err != nil {
					return err
				}
				if round > 0 { // the first warms up
					took[i], cpu[i] = append(took[i], seconds), append(cpu[i], processor)
				}
			}
		}
		counted := m.tokens
		switch {
		case m.context > 0:
			counted = r.tokens
		case m.name == "8 at once":
			counted = 8 * r.tokens
		}
		x := row{Name: m.name, Ours: median(took[0]), Theirs: median(took[1]), OursCPU: median(cpu[0]), TheirsCPU: median(cpu[1])}
		x.Rate, x.TheirRate = float64(counted)/x.Ours, float64(counted)/x.Theirs
		x.Ratio, x.RatioCPU = x.Theirs/x.Ours, x.TheirsCPU/x.OursCPU
		if m.context > 0 {
			x.Fraction = float64(weights+shapes[name].cache(m.context)) * x.Rate / reads
		}
		fmt.Println(x.String(theirs != nil, counted))
		rows = append(rows, x)
	}
	if memory[0] > 0 {
		fmt.Printf("  %-24s %8.0f MB", "peak memory, one request", memory[0]/1e6)
		if theirs != nil {
			fmt.Printf("    peer %8.0f MB    %.2f times", memory[1]/1e6, memory[0]/memory[1])
		}
		fmt.Println()
	}
	if r.save == "" {
		return nil
	}
	f, err := os.OpenFile(r.save, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	finite := slices.Clone(rows)
	if theirs == nil {
		for i := range finite {
			finite[i].TheirRate, finite[i].Ratio, finite[i].RatioCPU = 0, 0, 0
		}
	}
	err = json.NewEncoder(f).Encode(map[string]any{"shape": name, "type": kind, "threads": r.threads, "bandwidth": reads, "weights": weights, "rows": finite, "memory": memory})
	return errors.Join(err, f.Close())
}

func (x row) String(peer bool, tokens int) string {
	rate := func(seconds float64) string {
		if tokens == 0 {
			return fmt.Sprintf("%8.1f ms", 1000*seconds)
		}
		return fmt.Sprintf("%8.1f t/s", float64(tokens)/seconds)
	}
	s := fmt.Sprintf("  %-24s %s", x.Name, rate(x.Ours))
	if peer {
		s += fmt.Sprintf("   peer %s   %.2f times as fast, %.2f by processor time", rate(x.Theirs), x.Ratio, x.RatioCPU)
	}
	if x.Fraction > 0 {
		s += fmt.Sprintf("   %.2f of the bandwidth", x.Fraction)
	}
	return s
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.SortFunc(x, cmp.Compare[float64])
	return x[len(x)/2]
}

// program is one of the two that are compared.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(name string, args ...string) (*program, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &program{cmd, in, bufio.NewScanner(out)}, cmd.Start()
}

// stop ends the program, which ends by itself when there are no more commands.
func (p *program) stop() {
	p.in.Close()
	kill := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.cmd.Wait()
}

// do runs a command and returns what it says it took and the processor time of the whole program.
func (p *program) do(command string) (seconds, processor float64, err error) {
	before := p.processor()
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return 0, 0, err
	}
	for p.out.Scan() {
		var answer struct{ Seconds float64 }
		if json.Unmarshal(p.out.Bytes(), &answer) == nil && answer.Seconds > 0 {
			return answer.Seconds, p.processor() - before, nil
		}
	}
	return 0, 0, fmt.Errorf("%s ended at %q: %v", filepath.Base(p.cmd.Path), command, p.out.Err())
}

// processor is the program's processor time so far, in seconds, from Linux's /proc; 0 elsewhere.
func (p *program) processor() float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// peak is the most memory the program has had, mappings included, in bytes.
func (p *program) peak() float64 {
	if p == nil {
		return 0
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for l := range strings.Lines(string(status)) {
		var kb float64
		if _, err := fmt.Sscanf(l, "VmHWM: %f kB", &kb); err == nil {
			return kb * 1024
		}
	}
	return 0
}
