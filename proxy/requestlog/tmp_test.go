package requestlog
import ("testing";"strings";"encoding/json";"bytes";"time";"anyproxy/metrics";"fmt")
func BenchmarkTmp(b *testing.B){
 for _,size:=range []int{0,2000,100000}{
 e:=Entry{Timestamp:time.Now(),Direction:"request",Provider:"anthropic",Model:"claude-sonnet-4-5",Method:"POST",Path:"/v1/messages",Body:strings.Repeat(`{"text":"func main() {}\n // a comment of ordinary length follows here"},`,size/70),StatusCode:200,Duration:1.23,TokenCount:5,RequestID:"req_1",Headers:map[string]string{"Content-Type":"application/json","User-Agent":"claude-cli","Authorization":"......","X-App":"cli"},
 Decision:&metrics.Decision{Alias:"claude-*",Candidates:make([]metrics.Candidate,2),Attempts:make([]metrics.AttemptRecord,2)}}
 b.Run(fmt.Sprint("own/",size),func(b *testing.B){b.ReportAllocs();var l []byte; for b.Loop(){l=e.appendLine(l[:0])}})
 b.Run(fmt.Sprint("json/",size),func(b *testing.B){b.ReportAllocs();var l bytes.Buffer; for b.Loop(){l.Reset();j:=json.NewEncoder(&l);j.SetEscapeHTML(false);j.Encode(&e)}})
 }
}
