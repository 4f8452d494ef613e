document.getElementById("save").addEventListener("click", () => {
  const raw = document.getElementById("raw").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([raw], { type: "application/json" }));
  link.download = "coffer-scoreboard.json";
  link.click();
});
