import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { begin, startClock } from "./store.ts";

startClock();
void begin();
render(<App />, document.getElementById("page")!);
