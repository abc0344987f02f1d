import{$t as e,At as t,B as n,F as r,Gt as i,Ht as a,It as o,K as s,Kt as c,M as l,Mt as u,Q as d,Qt as f,T as p,Vt as m,Wt as h,Y as g,Yt as _,Zt as v,an as y,cn as b,dn as x,dt as S,en as C,et as w,fn as T,in as E,it as D,kt as O,ln as k,lt as A,nn as j,on as M,pt as N,qt as ee,rt as te,sn as ne,tn as P,un as F,xt as I,zt as L}from"./ground-XQii7zD-.js";import{t as R}from"./jsonmap-BId8GmN-.js";function z(e){let t=(Array.isArray(e?.inputs)?e.inputs:[]).filter(e=>typeof e?.name==`string`),n={};if(t.length>0){for(let{name:e,type:r}of t)n[e]=B(e,r);return n}for(let t of V(e))n[t]=B(t,`string`);return n}function B(e,t){switch(t){case`number`:return 1;case`boolean`:return!0;case`object`:return{};case`array`:return[];default:return/url|link/i.test(e)?`https://shop.example.com/cart`:/total|amount|price/i.test(e)?`129.00`:/mail/i.test(e)?`ada@example.com`:/name/i.test(e)?`Ada`:`1001`}}function V(e){let t=new Set,n=new Set,r=e=>{if(typeof e==`string`)for(let[n]of e.matchAll(/\{\{.*?\}\}/gs))for(let[,e]of n.matchAll(/\bcontext\.([A-Za-z_]\w*)/g))t.add(e??``);else if(e&&typeof e==`object`){let{save_as:t,assignments:i}=e;typeof t==`string`&&n.add(t).add(`${t}_raw`);for(let e of Array.isArray(i)?i:[])n.add(e?.name);Object.values(e).forEach(r)}};return r(e?.nodes),[...t].filter(e=>!n.has(e))}function H(e){return e?{path:`/actions/trigger-sequence`,key:`sequence_id`}:{path:`/actions/trigger-flow`,key:`flow_id`}}function re({baseUrl:e,flowId:t,isSequence:n,phone:r,context:i}){let a=H(n),o=`${e.replace(/\/+$/,``)}/api/v1${a.path}`,s={[a.key]:t,phone:r,context:i};return[{id:`curl`,label:`curl`,note:`Set QYVO_TOKEN to a token with the scope “trigger”.`,code:K(o,s,`order-1001`)},{id:`javascript`,label:`JavaScript`,note:`Node 18 or newer. Keep tokens out of browsers.`,code:q(o,s,`order-1002`)},{id:`php`,label:`PHP`,note:`With the curl extension.`,code:J(o,s,`order-1003`)},{id:`python`,label:`Python`,note:`pip install httpx`,code:Y(o,s,`order-1004`)}]}var U=`The key makes a retry safe: the same key and body give the first answer again.`,W=(e,t)=>e.replaceAll(`
`,`\n${t}`),G=e=>`'${e.replaceAll(`'`,`'\\''`)}'`;function K(e,t,n){return`# ${U}
curl -sS --fail-with-body ${G(e)} \\
  -H "Authorization: Bearer $QYVO_TOKEN" \\
  -H "Content-Type: application/json" \\
  -H ${G(`Idempotency-Key: ${n}`)} \\
  -d ${G(W(JSON.stringify(t,null,2),`  `))}
`}function q(e,t,n){return`const response = await fetch(${JSON.stringify(e)}, {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.QYVO_TOKEN}\`,
    "Content-Type": "application/json",
    // ${U}
    "Idempotency-Key": ${JSON.stringify(n)},
  },
  body: JSON.stringify(${W(JSON.stringify(t,null,2),`  `)}),
  signal: AbortSignal.timeout(10_000),
});
const answer = await response.json();
if (!response.ok) throw new Error(\`Qyvo answered \${response.status}: \${JSON.stringify(answer)}\`);
console.log(answer.id, answer.status); // "started", or "already_running"
`}function J(e,t,n){return`<?php
$request = curl_init(${Z(e)});
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
    CURLOPT_HTTPHEADER => [
        'Authorization: Bearer ' . getenv('QYVO_TOKEN'),
        'Content-Type: application/json',
        // ${U}
        ${Z(`Idempotency-Key: ${n}`)},
    ],
    CURLOPT_POSTFIELDS => json_encode(${Z(t,`    `)}, JSON_THROW_ON_ERROR),
]);
$answer = curl_exec($request);
if ($answer === false) {
    throw new RuntimeException('Qyvo cannot be reached: ' . curl_error($request));
}
$status = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
if ($status >= 300) {
    throw new RuntimeException("Qyvo answered $status: $answer");
}
echo $answer, "\\n"; // {"id": ..., "status": "started" or "already_running", ...}
`}function Y(e,t,n){return`import os

import httpx

response = httpx.post(
    ${JSON.stringify(e)},
    headers={
        "Authorization": f"Bearer {os.environ['QYVO_TOKEN']}",
        # ${U}
        "Idempotency-Key": ${JSON.stringify(n)},
    },
    json=${Q(t,`    `)},
    timeout=10,
)
response.raise_for_status()
print(response.json())  # {"id": ..., "status": "started" or "already_running", ...}
`}function X(e,t,n,r){return e.length===0?n+r:`${n}\n${e.map(e=>`${t}    ${e},\n`).join(``)}${t}${r}`}function Z(e,t=``){if(typeof e==`string`)return`'${e.replace(/[\\']/g,`\\$&`)}'`;if(typeof e!=`object`||!e)return String(e);let n=`${t}    `,r=Object.entries(e);return Array.isArray(e)?X(e.map(e=>Z(e,n)),t,`[`,`]`):r.length===0?`new stdClass()`:X(r.map(([e,t])=>`${Z(e)} => ${Z(t,n)}`),t,`[`,`]`)}function Q(e,t=``){if(e===null)return`None`;if(e===!0)return`True`;if(e===!1)return`False`;if(typeof e!=`object`)return JSON.stringify(e);let n=`${t}    `;return Array.isArray(e)?X(e.map(e=>Q(e,n)),t,`[`,`]`):X(Object.entries(e).map(([e,t])=>`${JSON.stringify(e)}: ${Q(t,n)}`),t,`{`,`}`)}var ie=h(`A program starts the flow with one call. <a href="../docs/#/Actions" target="_blank" class="svelte-1cqwpvf">The API in full</a>`,1),ae=h(`<p class="notice svelte-1cqwpvf" role="note">This flow is not published: a call is refused until it is. <a>Publish it</a></p>`),oe=h(`<button type="button" class="little svelte-1cqwpvf"> </button>`),se=h(`<span class="end svelte-1cqwpvf"><!></span>`),ce=h(`<pre tabindex="0" role="region" data-testid="snippet" class="svelte-1cqwpvf"> </pre> <p class="hint svelte-1cqwpvf"> </p>`,1),le=h(`<div class="secret svelte-1cqwpvf"><code data-testid="token-secret"> </code> <!></div> <p class="hint svelte-1cqwpvf">Keep it like a password: it is shown this once only.</p>`,1),ue=h(`<input/>`),de=h(`<textarea></textarea>`),fe=h(`<p class="hint">This writes to a real person.</p>`),pe=h(`<!> <!> <!>`,1),me=h(`<!> <div class="columns svelte-1cqwpvf"><section aria-label="Code" class="card snippet svelte-1cqwpvf"><div class="row svelte-1cqwpvf" role="group" aria-label="Language"><!> <!></div> <!> <!></section> <section aria-label="Start it here" class="card"><h2 class="svelte-1cqwpvf">Start it here</h2> <!></section></div>`,1),he=h(`<!> <!>`,1);function $(c,h){k(h,!0);let B=M(()=>h.params.id??``),V=r(()=>_(B),async(e,t)=>{let n=await g(`/flows/{id}`,{path:{id:e},signal:t});return{flow:n,context:z((n.published_version===null?null:await g(`/flows/{id}/versions/{n}`,{path:{id:e,n:n.published_version??0},signal:t}))?.document??n.document)}}),U=y(`+14155550123`),W=y(``),G=y(`curl`),K=y(``);f(()=>{V.data&&_(W)===``&&E(W,JSON.stringify(V.data.context,null,2),!0)});let q=M(()=>{let e=_(W).trim()===``?`{}`:_(W),{error:t,tree:n}=R(e);return t?{value:null,error:`Line ${t.line}, column ${t.column}: ${t.text}`}:n?.kind===`object`?{value:JSON.parse(e),error:``}:{value:null,error:`The context must be a JSON object, such as {}.`}}),J=M(()=>V.data?re({baseUrl:s.current?.public_url||location.origin,flowId:_(B),isSequence:V.data.flow.kind===`sequence`,phone:_(U).trim(),context:_(q).value??{}}):[]),Y=M(()=>_(J).find(e=>e.id===_(G))??_(J)[0]);async function X(e){let t=await d(`/tokens`,{body:{name:`Trigger ${e.name}`.slice(0,100),scope:`trigger`}});E(K,t.token,!0),D(`Made a token that may start and cancel flows. It is shown this once only.`)}async function Z(e){if(!_(q).value)throw Error(`Context: ${_(q).error}`);let{path:t,key:n}=H(e.kind===`sequence`),r={[n]:_(B),phone:_(U).trim(),context:_(q).value};try{let{text:e}=await w(`POST`,t,{body:r}),n=JSON.parse(e);D(n.status===`started`?`Started.`:`It is running already for this number.`),I.go(`/sessions/${n.id}`)}catch(e){throw S(e)?Error(`It is not known whether it was started: look at the sessions first.`):e}}var Q=he(),$=C(Q);{let e=e=>{F();var t=ie();F(),a(e,t)},t=M(()=>V.data?`Trigger “${V.data.flow.name}”`:`Trigger`),r=M(()=>({href:`old/#/flows/${encodeURIComponent(_(B))}`,label:V.data?.flow.name??`Flow`}));n($,{get title(){return _(t)},get back(){return _(r)},intro:e,$$slots:{intro:!0}})}var ge=j($,2);l(ge,{get resource(){return V},gone:`There is no such flow. It may have been deleted.`,children:(n,r)=>{let c=()=>(r?.()).flow;var l=me(),d=C(l),f=t=>{var n=ae(),r=j(e(n));x(n),v(()=>u(r,`href`,`old/#/flows/${_(B)??``}`)),a(t,n)};L(d,e=>{c().published_version===null&&e(f)});var h=j(d,2),g=e(h),y=e(g),b=e(y);o(b,17,()=>_(J),e=>e.id,(e,t)=>{var n=oe(),r=P(n,!0);v(()=>{u(n,`aria-pressed`,_(t).id===_(Y)?.id),u(n,`data-testid`,`snippet-${_(t).id??``}`),m(r,_(t).label)}),ee(`click`,n,()=>{E(G,_(t).id,!0)}),a(e,n)});var S=j(b,2),w=t=>{var n=se(),r=e(n);p(r,{get text(){return _(Y).code},testid:`snippet-copy`}),x(n),a(t,n)};L(S,e=>{_(Y)&&e(w)}),x(y);var D=j(y,2),k=e=>{var t=ce(),n=C(t),r=P(n,!0),i=j(n,2),o=P(i,!0);v(()=>{u(n,`aria-label`,`Code in ${_(Y).label??``}`),m(r,_(Y).code),m(o,_(Y).note)}),a(e,t)};L(D,e=>{_(Y)&&e(k)});var I=j(D,2),R=t=>{var n=le(),r=C(n),i=e(r),o=P(i),s=j(i,2);{let e=M(()=>`export QYVO_TOKEN=${_(K)}`);p(s,{get text(){return _(e)},label:`Copy`,testid:`token-copy`})}x(r),F(2),v(()=>m(o,`export QYVO_TOKEN=${_(K)??``}`)),a(t,n)},z=e=>{te(e,{testid:`trigger-token`,onclick:()=>X(c()),children:(e,t)=>{F();var n=i(`Create a token for it`);a(e,n)},$$slots:{default:!0}})};L(I,e=>{_(K)?e(R):e(z,-1)}),x(g);var V=j(g,2),H=j(e(V),2);A(H,{submit:`Start the flow`,act:()=>Z(c()),testid:`trigger-start`,errorTestid:`trigger-error`,children:(e,n)=>{var r=pe(),i=C(r);N(i,{label:`Phone`,hint:`With its country, such as +14155550123.`,children:(e,n=T)=>{var r=ue();t(r,()=>({...n(),type:`tel`,autocomplete:`off`,"data-testid":`trigger-phone`}),void 0,void 0,void 0,`svelte-1cqwpvf`,!0),O(r,()=>_(U),e=>E(U,e)),a(e,r)},$$slots:{default:!0}});var o=j(i,2);{let e=(e,n=T)=>{var r=de();ne(r),t(r,()=>({...n(),class:`code`,rows:`8`,spellcheck:`false`,"data-testid":`trigger-context`}),void 0,void 0,void 0,`svelte-1cqwpvf`),O(r,()=>_(W),e=>E(W,e)),a(e,r)},n=M(()=>_(q).error||void 0);N(o,{label:`Context`,hint:`What the flow reads; the code has it, too.`,get error(){return _(n)},children:e,$$slots:{default:!0}})}var c=j(o,2),l=e=>{var t=fe();a(e,t)};L(c,e=>{s.current?.channel.reaches_phones&&e(l)}),a(e,r)},$$slots:{default:!0}}),x(V),x(h),a(n,l)},$$slots:{default:!0}}),a(c,Q),b()}c([`click`]);export{$ as default};