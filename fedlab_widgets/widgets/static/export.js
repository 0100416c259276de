// For the page that draws pictures for files: FONT (base64, woff2) stands in front of this. Text is measured with the
// font that is then put into every SVG, so that a picture looks the same whatever fonts a machine has. No network.
const FACE = `<style>@font-face{font-family:"Open Sans";src:url(data:font/woff2;base64,${FONT})}</style>`;
const plain = Plotly.toImage;

document.fonts.add(new FontFace("Open Sans", Uint8Array.from(atob(FONT), (c) => c.charCodeAt(0)).buffer));

Plotly.toImage = async (figure, how) => {
  await document.fonts.ready;
  const bare = await plain(figure, { ...how, format: "svg", imageDataOnly: true });
  const svg = bare.replace(/<svg [^>]*>/, (start) => start + FACE), url = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  if (how.format === "svg") return how.imageDataOnly ? svg : url;   // a PDF is a print of the latter
  const image = new Image(), canvas = document.createElement("canvas");
  image.src = url;
  await image.decode();
  [canvas.width, canvas.height] = [how.width, how.height].map((side) => Math.round(side * how.scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png").replace(/^.*,/, "");
};
